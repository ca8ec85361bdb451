import { Alert, Button, Group, List, Modal, Stack, Table, Text, Textarea, Title } from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { get, send } from "../../../api/http";
import { useLive } from "../../../api/live";
import { OperationButton } from "../../../kernel/OperationButton";
import { PageLink } from "../../../ui/PageLink";
import { Time } from "../../../ui/Time";
import { Trouble } from "../../../ui/Trouble";
import { partQuery } from "./asset";
import { AssetLink } from "./AssetLink";
import { PolicyNote } from "./VersionPicker";
import { Readers } from "./Readers";
import { Releases } from "./Releases";
import type { AccessNeed as Need, AssetAccess as Access, AccessRequest } from "../../../api/generated/ai-catalog";
import { State } from "../../../ui/State";

/** What the user may do with an asset, who else may read it, and how to ask for access. */
export function AccessTab({ id }: { id: string }) {
  const access = useQuery(partQuery<Access>(id, "access"));
  const requests = useQuery({
    queryKey: ["items", "ai-catalog", "access-requests", id],
    queryFn: ({ signal }) => get<{ items: AccessRequest[] }>("/api/v1/ai-catalog/access-requests", { query: { filter: `asset == ${JSON.stringify(id)}`, page_size: 20 }, signal }),
    retry: false,
  });
  // What another user decides opens the rows here.
  useLive(["ai_catalog.access_request"], ["items", "ai-catalog", "access-requests", id]);
  useLive(["ai_catalog.access_request"], ["asset part", id]);
  const [asked, setAsked] = useState<Need | null>(null);
  const found = access.data;
  if (access.error) return <Trouble error={access.error} retry={() => access.refetch()} />;
  if (!found) return null;
  const verbs = found.permissions.map((name) => name.split(".").at(-1) ?? name);
  return (
    <Stack gap="lg">
      <PolicyNote id={id} />
      <section aria-label="Your access">
        <Title order={2} mb={4}>Your access</Title>
        <Text size="sm">
          {found.readable ? "You can read the rows of this asset" : "You can't read the rows of this asset"}
          {verbs.includes("materialize") ? ", and you can materialize it." : "."}
        </Text>
        {!found.readable && found.hidden_closed > 0 && <Text size="sm">It was copied from {found.hidden_closed} {found.hidden_closed === 1 ? "table" : "tables"} that you can't see. Ask the owner of the asset.</Text>}
        {!found.complete && <Text size="sm">Its lineage is too large to follow, so it is closed.</Text>}
        {found.needs.length > 0 && (
          <Stack gap="xs" mt="xs">
            {found.needs.map((need) => (
              <Group key={need.asset} gap="xs">
                <Text size="sm">You need the right to read {need.asset}.</Text>
                <Button size="compact-sm" variant="default" onClick={() => setAsked(need)}>Ask for access</Button>
              </Group>
            ))}
          </Stack>
        )}
      </section>
      {found.copied_from.length > 0 && (
        <section aria-label="Copied from">
          <Title order={2} mb={4}>Copied from</Title>
          <Text size="sm" c="dimmed" mb="xs">Who reads this asset must also be able to read these tables, or an owner has released the copies.</Text>
          <Table verticalSpacing={2}>
            <Table.Thead><Table.Tr><Table.Th>Table</Table.Th><Table.Th>Columns</Table.Th><Table.Th>For you</Table.Th></Table.Tr></Table.Thead>
            <Table.Tbody>
              {found.copied_from.map((one) => (
                <Table.Tr key={one.asset}>
                  <Table.Td><AssetLink id={one.asset} /></Table.Td>
                  <Table.Td style={{ overflowWrap: "anywhere" }}>{one.columns?.join(", ") ?? "All"}</Table.Td>
                  <Table.Td><State color={one.opens ? "teal" : "red"}>{one.readable ? "You can read it" : one.releases.length ? "Copies are released" : "Closed"}</State></Table.Td>
                </Table.Tr>
              ))}
            </Table.Tbody>
          </Table>
        </section>
      )}
      <Releases id={id} />
      <Readers id={id} />
      {requests.data && requests.data.items.length > 0 && (
        <section aria-label="Access requests">
          <Title order={2} mb={4}>Access requests</Title>
          <List size="sm" listStyleType="none">
            {requests.data.items.map((one) => (
              <List.Item key={one.id}>
                <State value={one.state} mr={6} />
                <PageLink to={`/ai-catalog/access-requests/${one.id}`} size="sm" underline="always">{one.requested_by}</PageLink>, <Time value={one.requested_at} />: {one.purpose}
                {one.state === "OPEN" && <Decisions request={one} />}
              </List.Item>
            ))}
          </List>
        </section>
      )}
      <Modal opened={asked !== null} onClose={() => setAsked(null)} title="Ask for access">
        {asked && <Ask need={asked} onDone={() => setAsked(null)} />}
      </Modal>
    </Stack>
  );
}

/** What the owner of an asset decides about a request, and its end by whoever asked. */
function Decisions({ request }: { request: AccessRequest }) {
  const queries = useQueryClient();
  const button = {
    service: "ai-catalog",
    plural: "access-requests",
    id: request.id,
    // Who decides about the asset decides about the request.
    item: { securable_id: request.asset, securable_kind: "ai_catalog.asset" },
    size: "compact-xs",
    onDone: () => void queries.invalidateQueries({ queryKey: ["items", "ai-catalog", "access-requests"] }),
  } as const;
  return <Group gap={4} my={4}>{["approve", "reject", "cancel"].map((verb) => <OperationButton key={verb} {...button} verb={verb} />)}</Group>;
}

function Ask({ need, onDone }: { need: Need; onDone: () => void }) {
  const queries = useQueryClient();
  const [purpose, setPurpose] = useState("");
  const request = useMutation({
    mutationFn: () => send("POST", "/api/v1/ai-catalog/access-requests", { body: { asset: need.asset, copies: need.copies, purpose } }),
    onSuccess: () => {
      void queries.invalidateQueries({ queryKey: ["items", "ai-catalog", "access-requests"] });
      onDone();
    },
  });
  return (
    <form onSubmit={(event) => { event.preventDefault(); request.mutate(); }}>
      <Stack gap="sm">
        <Text size="sm">The owner of {need.asset} decides. They see your name and the purpose.</Text>
        {need.copies && <Alert color="gray" variant="light">A release of the copies in {need.copies} is enough: you ask for that.</Alert>}
        <Textarea label="Purpose" withAsterisk autosize minRows={2} value={purpose} onChange={(event) => setPurpose(event.currentTarget.value)} data-autofocus />
        {request.error && <Trouble error={request.error} />}
        <Group justify="flex-end"><Button type="submit" loading={request.isPending} disabled={!purpose.trim()}>Ask</Button></Group>
      </Stack>
    </form>
  );
}

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
import { t } from "../../../language/text";
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
      <section aria-label={t("Your access")}>
        <Title order={2} mb={4}>{t("Your access")}</Title>
        <Text size="sm">
          {found.readable ? t("You can read the rows of this asset") : t("You can't read the rows of this asset")}
          {verbs.includes("materialize") ? t(", and you can materialize it.") : "."}
        </Text>
        {!found.readable && found.hidden_closed > 0 && <Text size="sm">{t("It was copied from {hidden_closed} {hidden_closed, plural, one {table} other {tables}} that you can't see. Ask the owner of the asset.", { hidden_closed: found.hidden_closed })}</Text>}
        {!found.complete && <Text size="sm">{t("Its lineage is too large to follow, so it is closed.")}</Text>}
        {found.needs.length > 0 && (
          <Stack gap="xs" mt="xs">
            {found.needs.map((need) => (
              <Group key={need.asset} gap="xs">
                <Text size="sm">{t("You need the right to read {asset}.", { asset: need.asset })}</Text>
                <Button size="compact-sm" variant="default" onClick={() => setAsked(need)}>{t("Ask for access")}</Button>
              </Group>
            ))}
          </Stack>
        )}
      </section>
      {found.copied_from.length > 0 && (
        <section aria-label={t("Copied from")}>
          <Title order={2} mb={4}>{t("Copied from")}</Title>
          <Text size="sm" c="dimmed" mb="xs">{t("Who reads this asset must also be able to read these tables, or an owner has released the copies.")}</Text>
          <Table verticalSpacing={2}>
            <Table.Thead><Table.Tr><Table.Th>{t("Table")}</Table.Th><Table.Th>{t("Columns")}</Table.Th><Table.Th>{t("For you")}</Table.Th></Table.Tr></Table.Thead>
            <Table.Tbody>
              {found.copied_from.map((one) => (
                <Table.Tr key={one.asset}>
                  <Table.Td><AssetLink id={one.asset} /></Table.Td>
                  <Table.Td style={{ overflowWrap: "anywhere" }}>{one.columns?.join(", ") ?? t("All")}</Table.Td>
                  <Table.Td><State color={one.opens ? "teal" : "red"}>{one.readable ? t("You can read it") : one.releases.length ? t("Copies are released") : t("Closed")}</State></Table.Td>
                </Table.Tr>
              ))}
            </Table.Tbody>
          </Table>
        </section>
      )}
      <Releases id={id} />
      <Readers id={id} />
      {requests.data && requests.data.items.length > 0 && (
        <section aria-label={t("Access requests")}>
          <Title order={2} mb={4}>{t("Access requests")}</Title>
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
      <Modal opened={asked !== null} onClose={() => setAsked(null)} title={t("Ask for access")}>
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
        <Text size="sm">{t("The owner of {asset} decides. They see your name and the purpose.", { asset: need.asset })}</Text>
        {need.copies && <Alert color="gray" variant="light">{t("A release of the copies in {copies} is enough: you ask for that.", { copies: need.copies })}</Alert>}
        <Textarea label={t("Purpose")} withAsterisk autosize minRows={2} value={purpose} onChange={(event) => setPurpose(event.currentTarget.value)} data-autofocus />
        {request.error && <Trouble error={request.error} />}
        <Group justify="flex-end"><Button type="submit" loading={request.isPending} disabled={!purpose.trim()}>{t("Ask")}</Button></Group>
      </Stack>
    </form>
  );
}

import { Button, Group, Select, Stack, Table, Text, Title } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useState } from "react";
import type { FoundSubjects, ReachingGrants } from "../api/generated/admin";
import { send } from "../api/http";
import { type KindEntry } from "../api/platform";
import { words } from "../api/schema";
import { Reference } from "../fields/Reference";
import { rich, t } from "../language/text";
import { State } from "../ui/State";
import { Time } from "../ui/Time";
import { Trouble } from "../ui/Trouble";
import { fullName } from "./operations";

const PAGE = 200;

/** Who has access to an item: the grants that reach it, and who holds one of its permissions. */
export function Permissions({ service, kind, id }: { service: string; kind: KindEntry; id: string }) {
  const securable = { securable_id: id, securable_kind: fullName(service, kind) };
  const grants = useQuery({
    queryKey: ["grants that reach", id],
    queryFn: async ({ signal }) => {
      const path = "/api/v1/admin/grants:effective";
      return (await send<ReachingGrants>("POST", path, { body: { ...securable, page_size: PAGE }, signal })).body;
    },
    retry: false,
  });
  if (grants.error) return <Trouble error={grants.error} retry={() => grants.refetch()} />;
  return (
    <Stack gap="lg">
      <section aria-label={t("Grants")}>
        <Group justify="space-between" mb="xs">
          <Title order={2}>{t("Grants")}</Title>
          <Button component={Link} to="/admin/grants/new" search={securable as never} size="xs" variant="default">{t("Create grant")}</Button>
        </Group>
        {grants.isSuccess && !grants.data.items.length && <Text size="sm" c="dimmed">{t("There are no grants that you can see.")}</Text>}
        {Boolean(grants.data?.items.length) && (
          <Table.ScrollContainer minWidth={520}>
            <Table verticalSpacing={4}>
              <Table.Thead>
                <Table.Tr><Table.Th>{t("Who")}</Table.Th><Table.Th>{t("Right")}</Table.Th><Table.Th>{t("Granted on")}</Table.Th><Table.Th>{t("Limits")}</Table.Th></Table.Tr>
              </Table.Thead>
              <Table.Tbody>
                {grants.data?.items.map(({ grant }) => (
                  <Table.Tr key={grant.id}>
                    <Table.Td><Reference id={grant.principal_id} kinds={["*"]} compact /></Table.Td>
                    <Table.Td>
                      {grant.effect === "DENY" && <State color="red" mr={4}>{t("Denied")}</State>}
                      {grant.role_id ? <Reference id={grant.role_id} kinds={["admin.role"]} compact /> : grant.permission}
                    </Table.Td>
                    <Table.Td>{grant.securable_id === id ? t("This item") : <Reference id={grant.securable_id} kinds={["*"]} compact />}</Table.Td>
                    <Table.Td>
                      {grant.condition && <Text size="sm">{t("If {condition}", { condition: grant.condition })}</Text>}
                      {grant.expires_at && <Text size="sm">{rich("Until {time}", { time: <Time value={grant.expires_at} /> })}</Text>}
                      {!grant.condition && !grant.expires_at && <Text c="dimmed" span>–</Text>}
                    </Table.Td>
                  </Table.Tr>
                ))}
              </Table.Tbody>
            </Table>
          </Table.ScrollContainer>
        )}
      </section>
      <Holders kind={kind} securable={securable} />
    </Stack>
  );
}

interface HoldersProps {
  kind: KindEntry;
  securable: { securable_id: string; securable_kind: string };
}

function Holders({ kind, securable }: HoldersProps) {
  const operations = [...kind.methods, ...kind.parts, ...kind.actions].filter((one) => one.path.includes("{"));
  const choices = [...new Map(operations.map((one) => [one.permission, words(one.verb)])).entries()].map(([value, label]) => ({ value, label }));
  const [permission, setPermission] = useState(choices[0]?.value ?? "");
  const subjects = useQuery({
    queryKey: ["who can", permission, securable.securable_id],
    queryFn: async ({ signal }) => {
      const path = "/api/v1/admin/decisions:list-subjects";
      return (await send<FoundSubjects>("POST", path, { body: { permission, ...securable, page_size: PAGE }, signal })).body;
    },
    enabled: Boolean(permission),
    retry: false,
  });
  return (
    <section aria-label={t("Who can do what")}>
      <Title order={2} mb="xs">{t("Who can do what")}</Title>
      <Stack gap="xs" align="flex-start">
        <Select label={t("Operation")} data={choices} value={permission} onChange={(chosen) => setPermission(chosen ?? permission)} allowDeselect={false} searchable />
        {subjects.error && <Trouble error={subjects.error} retry={() => subjects.refetch()} />}
        {subjects.isSuccess && !subjects.data.items.length && <Text size="sm" c="dimmed">{t("No user that you can see can do this.")}</Text>}
        <Group gap="sm">
          {subjects.data?.items.map((one) => <Reference key={one.id} id={one.id} kinds={["*"]} compact />)}
          {subjects.data?.next_page_token && <Text size="sm" c="dimmed">{t("and more")}</Text>}
        </Group>
      </Stack>
    </section>
  );
}

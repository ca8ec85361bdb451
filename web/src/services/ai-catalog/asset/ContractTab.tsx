import { Group, List, Stack, Table, Text, Title } from "@mantine/core";
import { queryOptions, useQuery } from "@tanstack/react-query";
import { get } from "../../../api/http";
import { useLive } from "../../../api/live";
import { Time } from "../../../ui/Time";
import { Trouble } from "../../../ui/Trouble";
import { versionNumber } from "./asset";
import { RunLink } from "./AssetLink";
import { ProposeButton, Proposals } from "./Proposals";
import { PageLink } from "../../../ui/PageLink";
import type { Contract } from "../../../api/generated/ai-catalog";
import { rich, t } from "../../../language/text";
import { State } from "../../../ui/State";

const PATH = "/api/v1/ai-catalog/contracts";

export const contractsQuery = (id: string, enabled = true) =>
  queryOptions({
    queryKey: ["items", "ai-catalog", "contracts", id],
    queryFn: ({ signal }) => get<{ items: Contract[] }>(PATH, { query: { filter: `asset == ${JSON.stringify(id)}`, page_size: 20 }, signal }),
    retry: false,
    enabled,
  });

/** What an asset promises its consumers, and whether the newest version keeps it. */
export function ContractTab({ id }: { id: string }) {
  const { data } = useQuery(contractsQuery(id));
  useLive(["ai_catalog.contract"], contractsQuery(id).queryKey);
  const active = data?.items.find((one) => one.state === "ACTIVE") ?? data?.items[0];
  const path = `${PATH}/${active?.id}`;
  const status = useQuery({ queryKey: ["part", path, "status"], queryFn: ({ signal }) => get<{ verdict: string; data_version: string | null; faults: string[] }>(`${path}/status`, { signal }), enabled: Boolean(active), retry: false });
  const violations = useQuery({ queryKey: ["part", path, "violations"], queryFn: ({ signal }) => get<{ items: { at: string; data_version: string; faults: string[]; run_id: string }[] }>(`${path}/violations`, { signal }), enabled: Boolean(active), retry: false });
  if (!active) return <Text c="dimmed">{t("This asset has no contract.")}</Text>;
  const { terms } = active;
  const promises = [
    ...(terms.min_rows !== null ? [t("It has at least {min_rows, number} rows.", { min_rows: terms.min_rows })] : []),
    ...(terms.max_rows !== null ? [t("It has at most {max_rows, number} rows.", { max_rows: terms.max_rows })] : []),
    ...(terms.max_age_hours !== null ? [t("Its rows are at most {max_age_hours} hours old.", { max_age_hours: terms.max_age_hours })] : []),
    ...terms.rules.map((rule) => (rule.holds ? `${rule.name}: ${rule.holds}` : rule.name)),
  ];
  return (
    <Stack gap="lg">
      <section aria-label={t("Verdict")}>
        <Text size="sm">
          <State value={active.state} mr={6} />
          <PageLink to={`/ai-catalog/contracts/${active.id}`} size="sm" underline="always">{t("Version {version} of the contract", { version: active.version })}</PageLink>
          {active.activated_at && rich(", active since {time}", { time: <Time value={active.activated_at} /> })}{active.contact && t(", contact {contact}", { contact: active.contact })}
        </Text>
        <Group gap="xs" my={4}><ProposeButton before={active} /></Group>
        {status.error && <Trouble error={status.error} />}
        {status.data && <Text size="sm">{verdict(status.data.verdict)}{status.data.data_version && t(" Version {data_version} was evaluated.", { data_version: versionNumber(status.data.data_version) })}</Text>}
        {status.data && status.data.faults.length > 0 && <List size="sm">{status.data.faults.map((fault) => <List.Item key={fault}>{fault}</List.Item>)}</List>}
      </section>
      <Proposals drafts={data?.items.filter((one) => one.state === "DRAFT") ?? []} />
      {promises.length > 0 && <section aria-label={t("Terms")}><Title order={2} mb={4}>{t("Terms")}</Title><List size="sm">{promises.map((one) => <List.Item key={one}>{one}</List.Item>)}</List></section>}
      {terms.columns.length > 0 && (
        <section aria-label={t("Promised columns")}>
          <Title order={2} mb={4}>{t("Promised columns")}</Title>
          <Table verticalSpacing={2} maw={640}><Table.Tbody>{terms.columns.map((one) => <Table.Tr key={one.name}><Table.Td>{one.name}</Table.Td><Table.Td ff="monospace" fz="xs">{one.type ?? t("any type")}</Table.Td><Table.Td>{one.nullable === false ? t("never empty") : ""}</Table.Td></Table.Tr>)}</Table.Tbody></Table>
        </section>
      )}
      {active.consumers.length > 0 && <section aria-label={t("Consumers")}><Title order={2} mb={4}>{t("Consumers")}</Title><Text size="sm">{active.consumers.join(", ")}</Text></section>}
      {violations.data && violations.data.items.length > 0 && (
        <section aria-label={t("Violations")}>
          <Title order={2} mb={4}>{t("Versions that broke it")}</Title>
          <List size="sm">{violations.data.items.map((one) => <List.Item key={`${one.run_id}${one.data_version}`}>{rich("Version {data_version}, {time}, run {run}: {faults}", { data_version: versionNumber(one.data_version), time: <Time value={one.at} />, run: <RunLink id={one.run_id} />, faults: one.faults.join("; ") })}</List.Item>)}</List>
        </section>
      )}
    </Stack>
  );
}

function verdict(name: string): string {
  const words: Record<string, string> = { MET: t("The newest version meets it."), BROKEN: t("The newest version breaks it."), NOT_EVALUATED: t("There is no version yet that could meet it.") };
  return words[name] ?? name;
}

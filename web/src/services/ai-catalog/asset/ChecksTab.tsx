import { Skeleton, Stack, Table, Text, Title, UnstyledButton } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { Time } from "../../../ui/Time";
import { Trouble } from "../../../ui/Trouble";
import { assetQuery, type CheckStatus, partQuery, versionNumber } from "./asset";
import { RunLink } from "./AssetLink";
import { ReportedValues, RowsTable } from "./ReportedValues";
import { CHECK_WORDS } from "./state";
import type { CheckResults as Evaluations } from "../../../api/generated/ai-catalog";
import { t } from "../../../language/text";
import { State } from "../../../ui/State";

const ROUTE = "/ai-catalog/assets/$id" as const;

/** The checks of an asset, with the rows that fail and earlier evaluations of the selected one. */
export function ChecksTab({ id }: { id: string }) {
  const { check } = useSearch({ from: ROUTE });
  const navigate = useNavigate({ from: ROUTE });
  const { data: asset } = useQuery(assetQuery(id));
  if (!asset) return null;
  if (!asset.checks.length) return <Text c="dimmed">{t("This asset has no checks. Its definition declares them.")}</Text>;
  const bad = asset.checks.find((one) => one.status === "FAILED" || one.status === "WARNED");
  const selected = asset.checks.find((one) => one.name === check) ?? bad ?? asset.checks[0];
  return (
    <Stack gap="lg">
      <Table.ScrollContainer minWidth={520} type="native">
        <Table verticalSpacing={4} aria-label={t("Checks")}>
          <Table.Thead><Table.Tr><Table.Th>{t("Check")}</Table.Th><Table.Th>{t("Result")}</Table.Th><Table.Th>{t("If it fails")}</Table.Th><Table.Th>{t("Evaluated")}</Table.Th><Table.Th>{t("Message")}</Table.Th></Table.Tr></Table.Thead>
          <Table.Tbody>
            {asset.checks.map((one) => (
              <Table.Tr key={one.name} bg={one === selected ? "var(--mantine-color-default-hover)" : undefined}>
                <Table.Td title={one.description}>
                  <UnstyledButton fz="sm" c="var(--mantine-color-anchor)" aria-pressed={one === selected} onClick={() => void navigate({ search: (before) => ({ ...before, check: one.name }), replace: true })}>{one.name}</UnstyledButton>
                </Table.Td>
                <Table.Td><Status status={one.status} /></Table.Td>
                <Table.Td style={{ whiteSpace: "nowrap" }}>{one.blocking ? t("Stops what reads it") : t("Warns")}</Table.Td>
                <Table.Td style={{ whiteSpace: "nowrap" }}>{one.at ? <Time value={one.at} /> : <Text span c="dimmed" size="sm">{t("Not for this version")}</Text>}</Table.Td>
                <Table.Td style={{ overflowWrap: "anywhere" }}>{one.message ?? <Text span c="dimmed">–</Text>}</Table.Td>
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      </Table.ScrollContainer>
      {selected && <History id={id} check={selected.name} description={selected.description} />}
    </Stack>
  );
}

function History({ id, check, description }: { id: string; check: string; description: string }) {
  const found = useQuery(partQuery<Evaluations>(id, "evaluations", { check }));
  const newest = found.data?.items[0];
  const sample = newest?.values.find((one) => one.form === "TABLE" && Array.isArray(one.value));
  const rest = newest?.values.filter((one) => one !== sample && !one.name.startsWith("headwater/")) ?? [];
  return (
    <section aria-label={t("Check {check}", { check })}>
      <Title order={2} mb={4}>{check}</Title>
      {description && <Text size="sm" c="dimmed" mb="sm">{description}</Text>}
      {found.error && <Trouble error={found.error} retry={() => found.refetch()} />}
      {found.isPending && <Skeleton h={120} />}
      {found.data && !newest && <Text size="sm" c="dimmed">{t("It was never evaluated.")}</Text>}
      {newest && (
        <Stack gap="md">
          {newest.withheld > 0 && <Text size="sm" c="dimmed">{t("The message and the rows are hidden: you can't read the rows of this asset.")}</Text>}
          {sample && (sample.value as unknown[]).length > 0 && (
            <section aria-label={t("Rows that fail")}>
              <Title order={3} mb={4}>{newest.status === "PASSED" ? t("Rows that break the rule, within the tolerance") : t("Rows that fail")} <Text span size="sm" c="dimmed" fw={400}>{t("(a sample of {count})", { count: (sample.value as unknown[]).length })}</Text></Title>
              <RowsTable label={t("Rows that fail")} rows={sample.value as Record<string, unknown>[]} maxHeight={240} />
            </section>
          )}
          <ReportedValues values={rest} />
          <section aria-label={t("Earlier evaluations")}>
            <Title order={3} mb={4}>{t("Evaluations")}</Title>
            <Table verticalSpacing={2}>
              <Table.Tbody>
                {found.data?.items.map((one) => (
                  <Table.Tr key={`${one.run_id} ${one.at}`}>
                    <Table.Td w={100}><Status status={one.status} /></Table.Td>
                    <Table.Td w={140}><Time value={one.at} /></Table.Td>
                    <Table.Td w={110}>{one.data_version ? t("Version {data_version}", { data_version: versionNumber(one.data_version) }) : "–"}</Table.Td>
                    <Table.Td w={90}><RunLink id={one.run_id} /></Table.Td>
                    <Table.Td visibleFrom="sm">{one.message}</Table.Td>
                  </Table.Tr>
                ))}
              </Table.Tbody>
            </Table>
          </section>
        </Stack>
      )}
    </section>
  );
}

function Status({ status }: { status: CheckStatus }) {
  return <State miw={76} value={status}>{CHECK_WORDS[status]}</State>;
}

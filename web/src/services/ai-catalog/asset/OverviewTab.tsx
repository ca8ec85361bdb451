import { Alert, Badge, Group, List, SimpleGrid, Stack, Table, Text, Title } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Value } from "../../../fields/Value";
import { Trouble } from "../../../ui/Trouble";
import { assetQuery, partQuery } from "./asset";
import { AssetLink } from "./AssetLink";
import { ReportedValues } from "./ReportedValues";
import type { AssetReport as Report, AssetTags as Tags } from "../../../api/generated/ai-catalog";
import { t } from "../../../language/text";

/** What an asset contains, what state it is in and why, and what its last run reported. */
export function OverviewTab({ id }: { id: string }) {
  const { data: asset } = useQuery(assetQuery(id));
  const report = useQuery(partQuery<Report>(id, "report"));
  const tags = useQuery(partQuery<Tags>(id, "tags"));
  if (!asset) return null;
  const facts: [string, React.ReactNode][] = [
    [t("Rows"), asset.row_count],
    [t("Made"), asset.executable ? (asset.automation ? t("Automatically: {automation}", { automation: asset.automation }) : t("On request")) : t("Another system writes it")],
    [t("Partitions"), asset.partitioned ? t("Yes") : t("No")],
    [t("Code version"), asset.code_version],
    [t("Code location"), asset.location],
    [t("Group"), asset.group],
  ];
  const ofTable = tags.data?.items.filter((one) => !one.column) ?? [];
  const ofColumns = (tags.data?.items.length ?? 0) - ofTable.length;
  return (
    <SimpleGrid cols={{ base: 1, md: 2 }} spacing="xl">
      <Stack gap="md">
        <Text style={{ whiteSpace: "pre-wrap" }}>{asset.description || <Text span c="dimmed">{t("This asset has no description.")}</Text>}</Text>
        {asset.health_reasons.length > 0 && !["UNKNOWN", "RUNNING"].includes(asset.health) && (
          <section aria-label={t("Why")}>
            <Title order={2} mb={4}>{t("Why it isn't fresh")}</Title>
            <List size="sm">{asset.health_reasons.map((reason) => <List.Item key={reason}>{sentence(reason)}</List.Item>)}</List>
          </section>
        )}
        <Table withRowBorders={false} verticalSpacing={2} layout="fixed">
          <Table.Tbody>
            {facts.map(([name, value]) => (
              <Table.Tr key={name}>
                <Table.Th w={140} fw={400} c="dimmed" style={{ verticalAlign: "top" }}>{name}</Table.Th>
                <Table.Td style={{ overflowWrap: "anywhere" }}><Value value={value} /></Table.Td>
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
        {(ofTable.length > 0 || ofColumns > 0) && (
          <Group gap={6}>
            {ofTable.map((one) => <Badge key={`${one.tag}${one.value}`} variant="light" color="gray" tt="none">{one.value ? `${one.tag}: ${one.value}` : one.tag}</Badge>)}
            {ofColumns > 0 && <Text size="sm" c="dimmed">{t("{ofColumns} {ofColumns, plural, one {tag} other {tags}} on columns", { ofColumns })}</Text>}
          </Group>
        )}
        <Neighbors title={t("Made from")} ids={asset.upstream} none={t("It has no input on the platform.")} />
        <Neighbors title={t("Used by")} ids={asset.downstream} none={t("No asset reads it.")} />
      </Stack>
      <section aria-label={t("Report of the last run")}>
        <Title order={2} mb="xs">{t("Report of the last run")}</Title>
        {report.error && <Trouble error={report.error} retry={() => report.refetch()} />}
        {report.data && !report.data.values.length && !report.data.withheld && <Text size="sm" c="dimmed">{t("No run has reported anything yet.")}</Text>}
        {report.data && report.data.withheld > 0 && <Alert color="gray" variant="light" mb="sm">{t("{withheld} values are hidden: they can contain rows that you can't read.", { withheld: report.data.withheld })}</Alert>}
        {report.data && <ReportedValues values={report.data.values} />}
      </section>
    </SimpleGrid>
  );
}

function Neighbors({ title, ids, none }: { title: string; ids: string[]; none: string }) {
  return (
    <section aria-label={title}>
      <Title order={2} mb={4}>{title}</Title>
      {ids.length ? <List size="sm" listStyleType="none">{ids.map((one) => <List.Item key={one}><AssetLink id={one} /></List.Item>)}</List> : <Text size="sm" c="dimmed">{none}</Text>}
    </section>
  );
}

function sentence(reason: string): string {
  return `${reason.charAt(0).toUpperCase()}${reason.slice(1)}.`;
}

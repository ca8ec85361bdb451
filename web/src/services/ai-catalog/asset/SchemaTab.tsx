import { Badge, Group, List, SimpleGrid, Skeleton, Stack, Table, Text, Title, UnstyledButton } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { Trouble } from "../../../ui/Trouble";
import { assetPage, partQuery } from "./asset";
import { AssetLink } from "./AssetLink";
import { NoRows } from "./NoRows";
import { VersionPicker } from "./VersionPicker";
import { PageLink } from "../../../ui/PageLink";
import type { TableSchema, ColumnLineage, Impact } from "../../../api/generated/ai-catalog";
import { rich, t } from "../../../language/text";

const ROUTE = "/ai-catalog/assets/$id" as const;
const UNITS = ["byte", "kilobyte", "megabyte", "gigabyte", "terabyte"];

/** The columns of a version. A selected column shows where its values come from and where they go. */
export function SchemaTab({ id }: { id: string }) {
  const { version, column } = useSearch({ from: ROUTE });
  const navigate = useNavigate({ from: ROUTE });
  const schema = useQuery(partQuery<TableSchema>(id, "schema", { version }));
  const change = (changed: { version?: string; column?: string }) => navigate({ search: (before) => ({ ...before, ...changed }), replace: true });
  const constraints = Object.entries(schema.data?.constraints ?? {});
  return (
    <Stack gap="sm">
      <Group justify="space-between" align="flex-end">
        <VersionPicker id={id} label={t("Version")} value={version} onChange={(chosen) => void change({ version: chosen })} />
        {schema.data && <Text size="sm" c="dimmed">{t("{count} columns, {row_count, number} rows, {size_bytes} in {file_count, number} {file_count, plural, one {file} other {files}}", { count: schema.data.columns.length, row_count: schema.data.row_count, size_bytes: size(schema.data.size_bytes), file_count: schema.data.file_count })}</Text>}
      </Group>
      {schema.error && <NoRows id={id} error={schema.error} retry={() => void schema.refetch()} />}
      {schema.isPending && <Skeleton h={240} />}
      {schema.data && (
        <SimpleGrid cols={{ base: 1, md: 2 }} spacing="xl">
          <Table verticalSpacing={2} aria-label={t("Columns")}>
            <Table.Thead><Table.Tr><Table.Th>{t("Column")}</Table.Th><Table.Th>{t("Type")}</Table.Th><Table.Th>{t("Can be empty")}</Table.Th></Table.Tr></Table.Thead>
            <Table.Tbody>
              {schema.data.columns.map((one) => (
                <Table.Tr key={one.name} bg={one.name === column ? "var(--mantine-color-default-hover)" : undefined}>
                  <Table.Td style={{ overflowWrap: "anywhere" }}>
                    <UnstyledButton fz="sm" c="var(--mantine-color-anchor)" aria-pressed={one.name === column} onClick={() => void change({ column: one.name === column ? undefined : one.name })}>{one.name}</UnstyledButton>
                    {schema.data.partition_columns.includes(one.name) && <Badge ml={6} size="xs" variant="default" tt="none">{t("partition")}</Badge>}
                  </Table.Td>
                  <Table.Td ff="monospace" fz="xs">{one.type}</Table.Td>
                  <Table.Td>{one.nullable ? t("Yes") : t("No")}</Table.Td>
                </Table.Tr>
              ))}
            </Table.Tbody>
          </Table>
          <Stack gap="md">
            {column ? <ColumnOrigin id={id} column={column} version={version} /> : <Text size="sm" c="dimmed">{t("Select a column to see where its values come from and where they go.")}</Text>}
            {constraints.length > 0 && (
              <section aria-label={t("Constraints")}>
                <Title order={2} mb={4}>{t("Constraints")}</Title>
                <List size="sm">{constraints.map(([name, condition]) => <List.Item key={name}>{name}: <code>{condition}</code></List.Item>)}</List>
              </section>
            )}
          </Stack>
        </SimpleGrid>
      )}
    </Stack>
  );
}

function ColumnOrigin({ id, column, version }: { id: string; column: string; version?: string }) {
  const lineage = useQuery(partQuery<ColumnLineage>(id, "column-lineage", { column, version }));
  const impact = useQuery(partQuery<Impact>(id, "impact", { column }));
  const node = lineage.data?.columns[0];
  return (
    <>
      <section aria-label={t("Where {column} comes from", { column })}>
        <Title order={2} mb={4}>{t("Where {column} comes from", { column })}</Title>
        {lineage.error && <Trouble error={lineage.error} />}
        {node?.sources.map((one) => (
          <Text size="sm" key={`${one.asset} ${one.column}`}>
            {rich("{column} of {asset}", { column: <PageLink to={assetPage(one.asset)} search={{ tab: "schema", column: one.column, version: one.version }} size="sm">{one.column}</PageLink>, asset: <AssetLink id={one.asset} version={one.version} /> })}
          </Text>
        ))}
        {node && !node.sources.length && node.knowledge === "RECORDED" && <Text size="sm">{node.continues.length ? t("Its values continue those of the version before.") : t("It comes from no column that you can see: it is computed, or read from outside the platform.")}</Text>}
        {node?.knowledge === "UNKNOWN" && (
          <Text size="sm">{rich("The run that wrote this version didn't record it. {count}", { count: node.possible_inputs.length > 0 && t("It may come from {possible_inputs}.", { possible_inputs: node.possible_inputs.join(", ") }) })}</Text>
        )}
        {lineage.data && !node && <Text size="sm" c="dimmed">{t("Nothing is recorded for this column.")}</Text>}
      </section>
      <section aria-label={t("Where {column} goes", { column })}>
        <Title order={2} mb={4}>{t("Where {column} goes", { column })}</Title>
        {impact.error && <Trouble error={impact.error} />}
        {impact.data?.assets.map((one) => (
          <Text size="sm" key={one.asset}>
            {one.lost_columns?.length ? (
              rich("{lost_columns} of ", { lost_columns: one.lost_columns.map((name, number) => <span key={name}>{number > 0 && ", "}<PageLink to={assetPage(one.asset)} search={{ tab: "schema", column: name }} size="sm">{name}</PageLink></span>) })
            ) : null}
            <AssetLink id={one.asset} />
            {!one.lost_columns?.length && <Text span c="dimmed" size="sm"> {one.certainty === "EXACT" ? t("reads it to select or join rows") : t("may read it: its columns aren't recorded")}</Text>}
          </Text>
        ))}
        {impact.data && !impact.data.assets.length && <Text size="sm" c="dimmed">{t("No asset that you can see reads it.")}</Text>}
      </section>
    </>
  );
}

function size(bytes: number): string {
  let rest = bytes;
  let unit = 0;
  while (rest >= 1000 && unit < UNITS.length - 1) {
    rest /= 1000;
    unit++;
  }
  return new Intl.NumberFormat(undefined, { style: "unit", unit: UNITS[unit], maximumFractionDigits: 1 }).format(rest);
}

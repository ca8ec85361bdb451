import { Code, SimpleGrid, Stack, Table, Text, Title } from "@mantine/core";
import { Grid } from "../../../ui/Grid";
import { Markdown } from "../../../ui/Markdown";
import { words } from "../../../api/schema";
import { t } from "../../../language/text";
import type { ReportedValue } from "./asset";

/** What other parts of the page say, or what only the platform needs. */
const INTERNAL = /^(dagster\/|headwater\/|delta\/(uri|table_id|version)$)/;
const SHORT = ["TEXT", "NUMBER", "BOOLEAN", "URL"];

/** What a run or a check reported: numbers and texts in a table, then plots, tables, and the rest. */
export function ReportedValues({ values, level = 3 }: { values: ReportedValue[]; level?: 2 | 3 | 4 }) {
  const short = values.filter((one) => SHORT.includes(one.form) && !INTERNAL.test(one.name));
  const plots = values.filter((one) => one.form === "MARKDOWN");
  const tables = values.filter((one) => one.form === "TABLE" && Array.isArray(one.value) && one.value.length);
  const rest = values.filter((one) => one.form === "JSON" || (one.form === "TABLE" && !tables.includes(one)));
  return (
    <Stack gap="md">
      {short.length > 0 && (
        <Table withRowBorders={false} verticalSpacing={2} layout="fixed" maw={720}>
          <Table.Tbody>
            {short.map((one) => (
              <Table.Tr key={one.name}>
                <Table.Th w="38%" fw={400} c="dimmed" style={{ verticalAlign: "top", overflowWrap: "anywhere" }}>{title(one.name)}</Table.Th>
                <Table.Td style={{ overflowWrap: "anywhere", fontVariantNumeric: "tabular-nums" }}>{shortText(one)}</Table.Td>
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      )}
      {plots.length > 0 && (
        <SimpleGrid cols={{ base: 1, lg: plots.length > 1 ? 2 : 1 }} spacing="lg">
          {plots.map((one) => <section key={one.name} aria-label={title(one.name)}><Title order={level} mb={4}>{title(one.name)}</Title><Markdown text={String(one.value)} /></section>)}
        </SimpleGrid>
      )}
      {tables.map((one) => <section key={one.name} aria-label={title(one.name)}><Title order={level} mb={4}>{title(one.name)}</Title><RowsTable label={title(one.name)} rows={one.value as Record<string, unknown>[]} /></section>)}
      {rest.map((one) => (
        <section key={one.name} aria-label={title(one.name)}>
          <Title order={level} mb={4}>{title(one.name)}</Title>
          {isEmpty(one.value) ? <Text size="sm" c="dimmed">{t("None")}</Text> : isFlat(one.value) ? <RowsTable label={title(one.name)} rows={Object.entries(one.value).map(([name, value]) => ({ name, value }))} /> : <Code block mah={320} style={{ overflow: "auto" }} tabIndex={0}>{JSON.stringify(one.value, null, 2)}</Code>}
        </section>
      ))}
    </Stack>
  );
}

/** Rows with named values as a table. */
export function RowsTable({ label, rows, maxHeight = 360 }: { label: string; rows: Record<string, unknown>[]; maxHeight?: number }) {
  const names = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  return <Grid label={label} columns={names.map((name) => ({ name }))} rows={rows.map((row) => names.map((name) => row[name]))} maxHeight={maxHeight} />;
}

function title(name: string): string {
  return words(name.replace(/^(delta|headwater)\//, "").replaceAll("/", " "));
}

function shortText(one: ReportedValue): string {
  if (typeof one.value === "number") return one.value.toLocaleString(undefined, { maximumSignificantDigits: 6, useGrouping: true });
  if (typeof one.value === "boolean") return one.value ? t("Yes") : t("No");
  return String(one.value);
}

function isFlat(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value) && Object.values(value).every((one) => typeof one !== "object" || one === null);
}

function isEmpty(value: unknown): boolean {
  return value === null || (typeof value === "object" && !Object.keys(value as object).length);
}

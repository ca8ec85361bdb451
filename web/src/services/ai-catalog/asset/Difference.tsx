import { Group, List, MultiSelect, Skeleton, Stack, Text, Title } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { NoRows } from "./NoRows";
import { partQuery } from "./asset";
import { RowsTable } from "./ReportedValues";
import type { Diff } from "../../../api/generated/ai-catalog";
import { t } from "../../../language/text";
import { State } from "../../../ui/State";

/** What differs between two versions: columns, and rows. With a key, changed rows are told from new ones. */
export function Difference({ id, from, to }: { id: string; from: string; to: string }) {
  const [key, setKey] = useState<string[]>([]);
  const schema = useQuery(partQuery<{ columns: { name: string }[] }>(id, "schema", { version: to }));
  const diff = useQuery(partQuery<Diff>(id, "diff", { from, to, key, limit: 100 }));
  const found = diff.data;
  const columns = found ? [
    ...Object.entries(found.columns_added).map(([name, type]) => t("{name} ({type}) was added.", { name, type })),
    ...Object.entries(found.columns_removed).map(([name, type]) => t("{name} ({type}) was removed.", { name, type })),
    ...Object.entries(found.columns_changed).map(([name, type]) => t("{name} changed from {before} to {after}.", { name, before: type.before, after: type.after })),
  ] : [];
  const counts: [string, number | null][] = found ? [[t("added"), found.added_count], [t("removed"), found.removed_count], [t("changed"), found.changed_count]] : [];
  return (
    <section aria-label={t("Differences")}>
      <Group justify="space-between" align="flex-end" mb="xs">
        <Title order={2}>{t("From version {from} to version {to}", { from, to })}</Title>
        <MultiSelect label={t("Columns that identify a row")} size="xs" w={280} maw="100%" data={schema.data?.columns.map((one) => one.name) ?? []} value={key} onChange={setKey} placeholder={key.length ? undefined : t("None: whole rows are compared")} searchable clearable />
      </Group>
      {diff.error && <NoRows id={id} error={diff.error} retry={() => void diff.refetch()} />}
      {diff.isPending && <Skeleton h={120} />}
      {found && (
        <Stack gap="md">
          <Group gap="xs" role="status">
            <Text size="sm">{t("{from_row_count, number} → {to_row_count, number} rows", { from_row_count: found.from_row_count, to_row_count: found.to_row_count })}</Text>
            {counts.map(([word, count]) => count !== null && <State key={word} color={count ? "orange" : "gray"}>{count.toLocaleString()} {word}</State>)}
          </Group>
          {columns.length > 0 ? <List size="sm">{columns.map((text) => <List.Item key={text}>{text}</List.Item>)}</List> : <Text size="sm" c="dimmed">{t("The columns are the same.")}</Text>}
          <Rows title={t("Added rows")} rows={found.added} count={found.added_count} />
          <Rows title={t("Removed rows")} rows={found.removed} count={found.removed_count} />
          {found.changed.length > 0 && <Rows title={t("Changed rows")} rows={found.changed.map(changes)} count={found.changed_count ?? 0} />}
        </Stack>
      )}
    </section>
  );
}

function Rows({ title, rows, count }: { title: string; rows: Record<string, unknown>[]; count: number }) {
  if (!rows.length) return null;
  return (
    <section aria-label={title}>
      <Title order={3} mb={4}>{title}{count > rows.length && <Text span size="sm" c="dimmed" fw={400}>{" "}{t("(the first {count} of {count2, number})", { count: rows.length, count2: count })}</Text>}</Title>
      <RowsTable label={title} rows={rows} maxHeight={280} />
    </section>
  );
}

/** A changed row as the values of both versions: what is the same stands once. */
function changes({ before, after }: Diff["changed"][number]): Record<string, unknown> {
  return Object.fromEntries([...new Set([...Object.keys(before), ...Object.keys(after)])].map((name) => {
    const same = JSON.stringify(before[name]) === JSON.stringify(after[name]);
    return [name, same ? after[name] : `${JSON.stringify(before[name])} → ${JSON.stringify(after[name])}`];
  }));
}

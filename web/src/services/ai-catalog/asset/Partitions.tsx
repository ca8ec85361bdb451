import { Group, Radio, Select, Stack, Text } from "@mantine/core";
import { t } from "../../../language/text";
import { type AssetPartitions, type Selection, selectedKeys } from "./partitions";

interface Props {
  known: AssetPartitions | undefined;
  value: Selection;
  onChange: (selection: Selection) => void;
}

/** Selects partitions: all, the last one, those that are missing or failed, a range, or those that were chosen before. */
export function Partitions({ known, value, onChange }: Props) {
  const { keys = [], total = 0, counts } = known ?? {};
  const count = known ? selectedKeys(value, known).length : 0;
  const change = (changed: Partial<Selection>) => onChange({ ...value, ...changed });
  return (
    <Radio.Group label={t("Partitions")} value={value.kind} onChange={(kind) => change({ kind: kind as Selection["kind"] })}>
      <Stack gap="xs" mt={4}>
        {value.chosen && <Radio value="chosen" label={t("The {count, number} that are shown", { count: value.chosen.length })} />}
        <Radio value="all" label={t("All {total, number}", { total })} />
        <Radio value="last" label={t("The last one{count}", { count: keys.length ? `: ${keys.at(-1)}` : "" })} disabled={!keys.length} />
        <Radio value="missing" label={t("Those that are missing: {missing}", { missing: (counts?.missing ?? 0).toLocaleString() })} disabled={!counts?.missing} />
        <Radio value="failed" label={t("Those that failed: {failed}", { failed: (counts?.failed ?? 0).toLocaleString() })} disabled={!counts?.failed} />
        <Radio value="range" label={t("A range")} disabled={!keys.length} />
        {value.kind === "range" && (
          <Group gap="xs" align="flex-end">
            <Select label={t("From")} size="xs" data={keys} limit={200} searchable value={value.from ?? null} onChange={(from) => change({ from: from ?? undefined })} />
            <Select label={t("To")} size="xs" data={keys} limit={200} searchable value={value.to ?? null} onChange={(to) => change({ to: to ?? undefined })} />
          </Group>
        )}
        {value.kind !== "all" && <Text size="sm" c="dimmed" role="status">{t("{count, plural, one {One partition is selected.} other {{count, number} partitions are selected.}}", { count })}</Text>}
      </Stack>
    </Radio.Group>
  );
}

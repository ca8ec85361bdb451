import { Group, Radio, Select, Stack, Text } from "@mantine/core";
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
    <Radio.Group label="Partitions" value={value.kind} onChange={(kind) => change({ kind: kind as Selection["kind"] })}>
      <Stack gap="xs" mt={4}>
        {value.chosen && <Radio value="chosen" label={`The ${value.chosen.length.toLocaleString()} that are shown`} />}
        <Radio value="all" label={`All ${total.toLocaleString()}`} />
        <Radio value="last" label={`The last one${keys.length ? `: ${keys.at(-1)}` : ""}`} disabled={!keys.length} />
        <Radio value="missing" label={`Those that are missing: ${(counts?.missing ?? 0).toLocaleString()}`} disabled={!counts?.missing} />
        <Radio value="failed" label={`Those that failed: ${(counts?.failed ?? 0).toLocaleString()}`} disabled={!counts?.failed} />
        <Radio value="range" label="A range" disabled={!keys.length} />
        {value.kind === "range" && (
          <Group gap="xs" align="flex-end">
            <Select label="From" size="xs" data={keys} limit={200} searchable value={value.from ?? null} onChange={(from) => change({ from: from ?? undefined })} />
            <Select label="To" size="xs" data={keys} limit={200} searchable value={value.to ?? null} onChange={(to) => change({ to: to ?? undefined })} />
          </Group>
        )}
        {value.kind !== "all" && <Text size="sm" c="dimmed" role="status">{count === 1 ? "One partition is selected." : `${count.toLocaleString()} partitions are selected.`}</Text>}
      </Stack>
    </Radio.Group>
  );
}

import { Group, Radio, Select, Stack, Text } from "@mantine/core";

export interface Selection {
  kind: "all" | "last" | "range";
  from?: string;
  to?: string;
}

/** The keys that a selection names, in their order. */
export function selectedKeys(selection: Selection, keys: string[]): string[] {
  if (selection.kind === "last") return keys.slice(-1);
  if (selection.kind === "all") return keys;
  const from = keys.indexOf(selection.from ?? "");
  const to = keys.indexOf(selection.to ?? "");
  return from < 0 || to < 0 ? [] : keys.slice(Math.min(from, to), Math.max(from, to) + 1);
}

interface Props {
  keys: string[];
  total: number;
  value: Selection;
  onChange: (selection: Selection) => void;
}

/** Selects partitions: all, the last one, or a range. */
export function Partitions({ keys, total, value, onChange }: Props) {
  const count = selectedKeys(value, keys).length;
  const change = (changed: Partial<Selection>) => onChange({ ...value, ...changed });
  return (
    <Radio.Group label="Partitions" value={value.kind} onChange={(kind) => change({ kind: kind as Selection["kind"] })}>
      <Stack gap="xs" mt={4}>
        <Radio value="all" label={`All ${total.toLocaleString()}`} />
        <Radio value="last" label={`The last one${keys.length ? `: ${keys.at(-1)}` : ""}`} disabled={!keys.length} />
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

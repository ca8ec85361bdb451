import { Card, Text } from "@mantine/core";

/** One number with what it is. */
export function Figure({ label, value, note }: { label: string; value: string; note?: string }) {
  return (
    <Card withBorder padding="sm">
      <Text size="xs" c="dimmed">{label}</Text>
      <Text size="lg" fw={600} style={{ fontVariantNumeric: "tabular-nums" }}>{value}</Text>
      {note && <Text size="xs" c="dimmed">{note}</Text>}
    </Card>
  );
}

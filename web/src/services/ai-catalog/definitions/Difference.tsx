import { Box, Text } from "@mantine/core";
import { t } from "../../../language/text";
import { changedLines } from "./difference";

const COLORS = { "+": "var(--mantine-color-teal-light)", "-": "var(--mantine-color-red-light)", " ": undefined };
const WORDS = { "+": "added", "-": "removed", " ": "" };

/** The lines that changed between two texts, each with its sign. */
export function Difference({ before, after, label }: { before: string; after: string; label: string }) {
  const lines = changedLines(before, after);
  if (!lines.length) return <Text size="sm" c="dimmed">{t("They are the same.")}</Text>;
  return (
    <Box role="region" aria-label={label} tabIndex={0} style={{ overflowX: "auto", border: "1px solid var(--mantine-color-default-border)" }}>
      {lines.map((line, number) => (
        <Text key={`${number}${line.text}`} component="pre" ff="monospace" fz="xs" m={0} px={8} py={1} w="max-content" miw="100%" bg={COLORS[line.sign]} title={WORDS[line.sign] || undefined}>
          {line.sign} {line.text}
        </Text>
      ))}
    </Box>
  );
}

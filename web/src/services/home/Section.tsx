import { Group, Paper, Skeleton, Stack, Text, Title } from "@mantine/core";
import type { ReactNode } from "react";
import { Trouble } from "../../ui/Trouble";

interface Props {
  title: string;
  /** A link to all of it. */
  all?: ReactNode;
  error?: unknown;
  isPending?: boolean;
  /** What an empty section says. */
  empty: string;
  children: ReactNode[];
}

/** A section of the home page, whose entries are its children. */
export function Section({ title, all, error, isPending, empty, children }: Props) {
  const id = title.toLowerCase().replaceAll(/\W+/g, "-");
  return (
    <Paper component="section" withBorder p="md" aria-labelledby={id}>
      <Group justify="space-between" mb="sm">
        <Title order={2} id={id}>{title}</Title>
        {all}
      </Group>
      {error !== undefined && error !== null && <Trouble error={error} />}
      {isPending && <Skeleton height={60} />}
      {!isPending && !error && !children.length && <Text size="sm" c="dimmed">{empty}</Text>}
      {children.length > 0 && <Stack component="ul" gap="xs" m={0} p={0} style={{ listStyle: "none" }}>{children}</Stack>}
    </Paper>
  );
}

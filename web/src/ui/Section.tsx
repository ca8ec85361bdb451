import { Text, Title } from "@mantine/core";
import type { ReactNode } from "react";

/** A part of a page with a heading. */
export function Section({ title, note, children }: { title: string; note?: ReactNode; children: ReactNode }) {
  return (
    <section aria-label={title}>
      <Title order={2} mb={note ? 0 : "xs"}>{title}</Title>
      {note && <Text size="sm" c="dimmed" mb="xs">{note}</Text>}
      {children}
    </section>
  );
}

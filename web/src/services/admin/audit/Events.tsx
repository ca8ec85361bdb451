import { Button, Code, Group, Modal, Stack, Table, Text, UnstyledButton } from "@mantine/core";
import { useInfiniteQuery } from "@tanstack/react-query";
import { useState } from "react";
import { get } from "../../../api/http";
import { words } from "../../../api/schema";
import { line } from "../../../kernel/changes";
import { rich, t } from "../../../language/text";
import { State } from "../../../ui/State";
import { Time } from "../../../ui/Time";
import { Trouble } from "../../../ui/Trouble";
import { type AuditEvent, happened } from "./events";

interface Page {
  items: AuditEvent[];
  next_page_token: string | null;
}

const COLORS: Record<string, string> = { denied: "red", failed: "orange" };

/** Events of the audit log, newest first. A click shows everything about one. */
export function Events({ filter, since, until }: { filter: string; since?: string; until?: string }) {
  const [open, setOpen] = useState<AuditEvent | null>(null);
  const pages = useInfiniteQuery({
    queryKey: ["items", "admin", "audit-events", filter, since, until],
    queryFn: ({ pageParam, signal }) => get<Page>("/api/v1/admin/audit-events", { query: { filter, since, until, page_size: 50, page_token: pageParam }, signal }),
    initialPageParam: "",
    getNextPageParam: (page) => page.next_page_token || undefined,
    retry: false,
  });
  if (pages.error) return <Trouble error={pages.error} retry={() => pages.refetch()} />;
  const events = pages.data?.pages.flatMap((page) => page.items) ?? [];
  return (
    <Stack gap="sm">
      {pages.isSuccess && !events.length && <Text c="dimmed" py="md">{t("There are no events of this kind that you can see.")}</Text>}
      <Table.ScrollContainer minWidth={560} scrollAreaProps={{ viewportProps: { tabIndex: 0, role: "region", "aria-label": t("Events") } }}>
        <Table verticalSpacing={4} highlightOnHover aria-label={t("Events")} aria-busy={pages.isPending}>
          <Table.Thead><Table.Tr>{[t("When"), t("What"), t("Subject"), t("Who"), t("Outcome")].map((name) => <Table.Th key={name}>{name}</Table.Th>)}</Table.Tr></Table.Thead>
          <Table.Tbody>
            {events.map((event) => (
              <Table.Tr key={event.id}>
                <Table.Td style={{ whiteSpace: "nowrap" }}><Time value={event.at} /></Table.Td>
                <Table.Td><UnstyledButton fz="sm" c="var(--mantine-color-anchor)" onClick={() => setOpen(event)} title={event.type}>{happened(event.type)}</UnstyledButton></Table.Td>
                <Table.Td><Code>{event.subject}</Code></Table.Td>
                <Table.Td>{event.principal}{event.on_behalf_of && <Text span size="xs" c="dimmed">{" "}{t("for {on_behalf_of}", { on_behalf_of: event.on_behalf_of })}</Text>}</Table.Td>
                <Table.Td><Outcome value={event.outcome} /></Table.Td>
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      </Table.ScrollContainer>
      {pages.hasNextPage && <Button variant="default" loading={pages.isFetchingNextPage} onClick={() => pages.fetchNextPage()}>{t("Show more")}</Button>}
      <Modal opened={open !== null} onClose={() => setOpen(null)} title={open && happened(open.type)} size="lg">
        {open && <Details event={open} />}
      </Modal>
    </Stack>
  );
}

/** Only what needs attention stands out. */
function Outcome({ value }: { value: string | null }) {
  const text = words(value ?? "–");
  return value && COLORS[value] ? <State color={COLORS[value]}>{text}</State> : <Text span size="sm" c="dimmed">{text}</Text>;
}

function Details({ event }: { event: AuditEvent }) {
  const { changes, ...facts } = event.data;
  return (
    <Stack gap="xs">
      <Text size="sm">{event.principal}, <Time value={event.at} />{event.data.client && <>{" "}{rich("from {client}", { client: <Code>{event.data.client}</Code> })}</>}</Text>
      {changes && changes.length > 0 && <Stack gap={4}>{changes.map((change) => <Code key={change.pointer} style={{ overflowWrap: "anywhere" }}>{line(change)}</Code>)}</Stack>}
      <Code block tabIndex={0}>{JSON.stringify(facts, null, 2)}</Code>
      <Group gap="xs"><Text size="xs" c="dimmed">{t("Event {sequence}", { sequence: event.sequence })}</Text><Text size="xs" c="dimmed">{rich("Type {type}", { type: <Code>{event.type}</Code> })}</Text><Text size="xs" c="dimmed">{rich("Request {request_id}", { request_id: <Code>{event.request_id}</Code> })}</Text></Group>
      <Text size="xs" c="dimmed" style={{ overflowWrap: "anywhere" }}>{rich("Hash {hash}", { hash: <Code>{event.hash}</Code> })}</Text>
    </Stack>
  );
}

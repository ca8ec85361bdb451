import { Anchor, Button, Stack, Table, Text } from "@mantine/core";
import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import type { AuditEvent, AuditEventPage } from "../api/generated/admin";
import { get } from "../api/http";
import { allowed } from "../api/platform";
import { words } from "../api/schema";
import { t } from "../language/text";
import { State } from "../ui/State";
import { Time } from "../ui/Time";
import { Trouble } from "../ui/Trouble";

/** What happened to an item, and who did it: its events in the audit log, newest first. */
export function Activity({ id }: { id: string }) {
  const filter = `subject == ${JSON.stringify(id)}`;
  const events = useInfiniteQuery({
    queryKey: ["activity", id],
    queryFn: ({ pageParam, signal }) => get<AuditEventPage>("/api/v1/admin/audit-events", { query: { filter, page_size: 50, page_token: pageParam }, signal }),
    initialPageParam: "",
    getNextPageParam: (page) => page.next_page_token || undefined,
    retry: false,
  });
  const { data: rights } = useQuery(allowed(["admin.audit_event.list"], null));
  if (events.error) return <Trouble error={events.error} retry={() => events.refetch()} />;
  const items = events.data?.pages.flatMap((page) => page.items) ?? [];
  if (events.isSuccess && !items.length) {
    const reason = rights?.has("admin.audit_event.list") ? "" : t(" To read the audit log, you need the permission admin.audit_event.list.");
    return <Text c="dimmed" size="sm">{t("There are no events that you can read.{reason}", { reason })}</Text>;
  }
  return (
    <Stack gap="sm">
      <Table.ScrollContainer minWidth={480}>
        <Table verticalSpacing={4}>
          <Table.Thead>
            <Table.Tr><Table.Th>{t("Time")}</Table.Th><Table.Th>{t("Who")}</Table.Th><Table.Th>{t("What")}</Table.Th><Table.Th>{t("Outcome")}</Table.Th></Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {items.map((event) => (
              <Table.Tr key={event.id}>
                <Table.Td><Time value={event.at} /></Table.Td>
                <Table.Td>{event.principal}{event.on_behalf_of ? t(" for {on_behalf_of}", { on_behalf_of: event.on_behalf_of }) : ""}</Table.Td>
                <Table.Td><Anchor component={Link} to={`/admin/audit-events/${event.id}`} size="sm">{said(event)}</Anchor></Table.Td>
                <Table.Td>{event.outcome ? <State value={event.outcome.toUpperCase()} /> : "–"}</Table.Td>
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      </Table.ScrollContainer>
      {events.hasNextPage && <Button variant="default" size="xs" loading={events.isFetchingNextPage} onClick={() => events.fetchNextPage()}>{t("Show more")}</Button>}
    </Stack>
  );
}

/** What an event says happened: `admin.user.password_set` is "Password set". */
export function said(event: Pick<AuditEvent, "type">): string {
  return words(event.type.split(".").at(-1) ?? event.type);
}

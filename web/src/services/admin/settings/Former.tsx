import { Button, List, Stack, Text } from "@mantine/core";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { get, send } from "../../../api/http";
import { t } from "../../../language/text";
import { Confirm } from "../../../ui/Confirm";
import { notice } from "../../../ui/notice";
import { Time } from "../../../ui/Time";
import { Trouble } from "../../../ui/Trouble";
import type { AuditEvent } from "../audit/events";
import { Rows } from "../../../ui/Rows";
import { Section } from "../../../ui/Section";
import { label, SETTINGS, shown } from "./effect";

/** Former changes of the settings, from the audit log. Each can be reverted. */
export function Former() {
  const queries = useQueryClient();
  const [reverted, setReverted] = useState<AuditEvent | null>(null);
  const events = useQuery({
    queryKey: ["settings-history"],
    queryFn: ({ signal }) => get<{ items: AuditEvent[] }>("/api/v1/admin/audit-events", { query: { filter: 'type == "admin.settings.updated"', page_size: 50 }, signal }),
    retry: false,
  });
  const changes = reverted?.data.changes ?? [];
  const revert = async () => {
    await send("PATCH", SETTINGS, { body: Object.fromEntries(changes.map((one) => [one.pointer.slice(1), one.before])) });
    notice(t("The change is reverted"));
    void queries.invalidateQueries({ queryKey: ["item", "admin", "settings"] });
    void queries.invalidateQueries({ queryKey: ["settings-history"] });
  };
  const name = (pointer: string) => label(pointer.slice(1));
  return (
    <Section title={t("History")}>
      {events.error && <Trouble error={events.error} retry={() => events.refetch()} />}
      {events.data && (
        <Rows
          label={t("History")}
          empty={t("No setting was ever changed.")}
          columns={[t("When"), t("Who"), t("What"), t("Do")]}
          rows={events.data.items.map((event) => ({
            id: event.id,
            cells: [
              <Time key="at" value={event.at} />,
              event.principal,
              <Stack key="changes" gap={2}>
                {(event.data.changes ?? []).map((one) => <Text key={one.pointer} size="sm">{t("{pointer}: {before} became {after}", { pointer: name(one.pointer), before: shown(one.before), after: shown(one.after) })}</Text>)}
                {!event.data.changes?.length && <Text size="sm" c="dimmed">{event.data.changes ? t("Nothing changed") : t("The values before this change were not recorded")}</Text>}
              </Stack>,
              event.data.changes?.length ? <Button key="revert" size="compact-xs" variant="default" onClick={() => setReverted(event)}>{t("Revert")}</Button> : null,
            ],
          }))}
        />
      )}
      <Confirm opened={reverted !== null} onClose={() => setReverted(null)} title={t("Revert this change?")} submit={t("Revert")} run={revert}>
        <List size="sm">{changes.map((one) => <List.Item key={one.pointer}>{t("{pointer} becomes {before} again.", { pointer: name(one.pointer), before: shown(one.before) })}</List.Item>)}</List>
      </Confirm>
    </Section>
  );
}

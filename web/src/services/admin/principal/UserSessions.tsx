import { Button, Group, Skeleton, Text } from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import type { UserSession, UserSessions as Found } from "../../../api/generated/admin";
import { get, send } from "../../../api/http";
import { t } from "../../../language/text";
import { Confirm } from "../../../ui/Confirm";
import { notice } from "../../../ui/notice";
import { Time } from "../../../ui/Time";
import { Trouble } from "../../../ui/Trouble";
import { Rows } from "../../../ui/Rows";
import { useRights } from "../../../kernel/useRights";

const END = "admin.user.revoke_sessions";

/** Where a user is logged in. An admin can end each login, or all of them. */
export function UserSessions({ path, id, name }: { path: string; id: string; name: string }) {
  const queries = useQueryClient();
  const right = useRights([END], { id, kind: "admin.user" })(END);
  const [all, setAll] = useState(false);
  const key = ["item", "admin", "users", id, "sessions"];
  const found = useQuery({ queryKey: key, queryFn: ({ signal }) => get<Found>(`${path}/sessions`, { signal }), retry: false });
  const ended = () => queries.invalidateQueries({ queryKey: key });
  const end = useMutation({
    mutationFn: (one: UserSession) => send("POST", `${path}:revoke-sessions`, { body: { sessions: [one.id] } }),
    onSuccess: (_, one) => {
      notice(t("The {label} was ended.", { label: one.label }));
      return ended();
    },
  });
  if (found.error) return <Trouble error={found.error} retry={() => found.refetch()} />;
  if (!found.data) return <Skeleton height={120} />;
  const { items } = found.data;
  return (
    <>
      <Group justify="space-between" mb="xs">
        <Text size="sm" c="dimmed">{t("Logins of browsers and scripts. API keys stay valid when a login ends.")}</Text>
        {items.length > 1 && <Button size="xs" variant="default" {...right} onClick={() => setAll(true)}>{t("End all {count}", { count: items.length })}</Button>}
      </Group>
      {end.error && <Trouble error={end.error} />}
      <Rows
        label={t("Sessions")}
        empty={t("{name} isn't logged in anywhere.", { name })}
        columns={[t("Login"), t("Since"), t("Ends"), t("Do")]}
        rows={items.map((one) => ({
          id: one.id,
          cells: [
            one.label,
            <Time key="since" value={one.created_at} />,
            <Time key="ends" value={one.expires_at} />,
            <Button key="end" size="compact-xs" variant="default" aria-label={t("End the {label}", { label: one.label })} {...right} loading={end.isPending && end.variables.id === one.id} onClick={() => end.mutate(one)}>{t("End")}</Button>,
          ],
        }))}
      />
      <Confirm
        opened={all}
        onClose={() => setAll(false)}
        title={t("End all logins")}
        submit={t("End all")}
        danger
        run={async () => {
          await send("POST", `${path}:revoke-sessions`, { body: {} });
          notice(t("{name} is logged out everywhere.", { name }));
          await ended();
        }}
      >
        {t("{name} is logged out of every browser and script at once, and can log in again.", { name })}
      </Confirm>
    </>
  );
}

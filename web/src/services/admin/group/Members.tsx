import { Alert, Button, Group, Skeleton, Text } from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import type { Member, Members as Found } from "../../../api/generated/admin";
import { get, send } from "../../../api/http";
import { words } from "../../../api/schema";
import { Reference } from "../../../fields/Reference";
import { rich, t } from "../../../language/text";
import { notice } from "../../../ui/notice";
import { State } from "../../../ui/State";
import { Time } from "../../../ui/Time";
import { Trouble } from "../../../ui/Trouble";
import { PRINCIPALS, Picker } from "../../../fields/Picker";
import { Rows } from "../../../ui/Rows";
import { useRights } from "../../../kernel/useRights";

const ADD = "admin.group.add_members";
const REMOVE = "admin.group.remove_members";
const ELSEWHERE: Record<string, string> = {
  SCIM: t("A directory keeps the members of this group. It undoes what you change here at its next update."),
  CLAIM: t("The members of this group follow the claims of logins. The next login of a user undoes what you change here for them."),
};

/** The members of a group: users, service accounts, and other groups. */
export function Members({ path, id, name, source }: { path: string; id: string; name: string; source: string }) {
  const queries = useQueryClient();
  const [chosen, setChosen] = useState("");
  const rights = useRights([ADD, REMOVE], { id, kind: "admin.group" });
  const key = ["item", "admin", "groups", id, "members"];
  const found = useQuery({ queryKey: key, queryFn: ({ signal }) => get<Found>(`${path}/members`, { query: { transitive: true }, signal }), retry: false });
  const change = useMutation({
    mutationFn: ({ verb, member }: { verb: "add" | "remove"; member: string }) => send("POST", `${path}:${verb}-members`, { body: { members: [member] } }),
    onSuccess: (_, { verb, member }) => {
      setChosen("");
      const undo = () => change.mutate({ verb: "add", member });
      if (verb === "add") notice(t("A member was added to {name}.", { name }));
      else notice(t("A member was removed from {name}.", { name }), { label: t("Undo"), run: undo });
      return queries.invalidateQueries({ queryKey: key });
    },
  });
  if (found.error) return <Trouble error={found.error} retry={() => found.refetch()} />;
  if (!found.data) return <Skeleton height={160} />;
  const { items, hidden } = found.data;
  const add = rights(ADD);
  return (
    <>
      {ELSEWHERE[source] && <Alert variant="light" color="gray" mb="sm">{ELSEWHERE[source]}</Alert>}
      <Group component="form" align="flex-end" mb="sm" onSubmit={(event) => { event.preventDefault(); if (chosen) change.mutate({ verb: "add", member: chosen }); }}>
        <Picker label={t("New member")} placeholder={t("Search by name")} kinds={PRINCIPALS} value={chosen} onChange={setChosen} without={[id, ...items.filter((one) => one.direct).map((one) => one.id)]} />
        <Button type="submit" {...add} disabled={add.disabled || !chosen} loading={change.isPending && change.variables.verb === "add"}>{t("Add")}</Button>
      </Group>
      {change.error && <Trouble error={change.error} />}
      <Rows
        label={t("Members")}
        empty={hidden ? t("The group has no members that you can see.") : t("The group has no members yet. Choose the first one above.")}
        columns={[t("Name"), t("Kind"), t("Member"), t("Do")]}
        rows={items.map((one: Member) => ({
          id: one.id,
          cells: [
            <Reference key="name" id={one.id} kinds={PRINCIPALS} compact />,
            words(one.kind.split(".").at(-1) ?? one.kind),
            one.direct ? <Text key="since" size="sm" span>{rich("Since {added_at}", { added_at: one.added_at && <Time value={one.added_at} /> })}</Text> : <State key="through" color="gray">{t("Through another group")}</State>,
            one.direct ? <Button key="remove" size="compact-xs" variant="default" aria-label={t("Remove {name}", { name: one.name })} {...rights(REMOVE)} onClick={() => change.mutate({ verb: "remove", member: one.id })}>{t("Remove")}</Button> : null,
          ],
        }))}
      />
      {hidden && items.length > 0 && <Text size="sm" c="dimmed" mt="xs">{t("There are other members that you can't see.")}</Text>}
    </>
  );
}

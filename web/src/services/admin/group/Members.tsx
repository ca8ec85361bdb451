import { Alert, Button, Group, Skeleton, Text } from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import type { Member, Members as Found } from "../../../api/generated/admin";
import { get, send } from "../../../api/http";
import { words } from "../../../api/schema";
import { Reference } from "../../../fields/Reference";
import { notice } from "../../../ui/notice";
import { State } from "../../../ui/State";
import { Time } from "../../../ui/Time";
import { Trouble } from "../../../ui/Trouble";
import { PRINCIPALS, Picker } from "../Picker";
import { Rows } from "../Rows";
import { useRights } from "../useRights";

const ADD = "admin.group.add_members";
const REMOVE = "admin.group.remove_members";
const ELSEWHERE: Record<string, string> = {
  SCIM: "A directory keeps the members of this group. It undoes what you change here at its next update.",
  CLAIM: "The members of this group follow the claims of logins. The next login of a user undoes what you change here for them.",
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
      if (verb === "add") notice(`A member was added to ${name}.`);
      else notice(`A member was removed from ${name}.`, { label: "Undo", run: undo });
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
        <Picker label="New member" placeholder="Search by name" kinds={PRINCIPALS} value={chosen} onChange={setChosen} without={[id, ...items.filter((one) => one.direct).map((one) => one.id)]} />
        <Button type="submit" {...add} disabled={add.disabled || !chosen} loading={change.isPending && change.variables.verb === "add"}>Add</Button>
      </Group>
      {change.error && <Trouble error={change.error} />}
      <Rows
        label="Members"
        empty={hidden ? "The group has no members that you can see." : "The group has no members yet. Choose the first one above."}
        columns={["Name", "Kind", "Member", "Do"]}
        rows={items.map((one: Member) => ({
          id: one.id,
          cells: [
            <Reference key="name" id={one.id} kinds={PRINCIPALS} compact />,
            words(one.kind.split(".").at(-1) ?? one.kind),
            one.direct ? <Text key="since" size="sm" span>Since {one.added_at && <Time value={one.added_at} />}</Text> : <State key="through" color="gray">Through another group</State>,
            one.direct ? <Button key="remove" size="compact-xs" variant="default" aria-label={`Remove ${one.name}`} {...rights(REMOVE)} onClick={() => change.mutate({ verb: "remove", member: one.id })}>Remove</Button> : null,
          ],
        }))}
      />
      {hidden && items.length > 0 && <Text size="sm" c="dimmed" mt="xs">There are other members that you can't see.</Text>}
    </>
  );
}

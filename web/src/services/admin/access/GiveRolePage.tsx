import { Anchor, Autocomplete, Breadcrumbs, Button, Group, SegmentedControl, Stack, Text, TextInput, Title } from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { type FormEvent, useState } from "react";
import type { Grant, Simulation } from "../../../api/generated/admin";
import { Problem, send } from "../../../api/http";
import { t } from "../../../language/text";
import { notice } from "../../../ui/notice";
import { Trouble } from "../../../ui/Trouble";
import { PRINCIPALS, Picker } from "../../../fields/Picker";
import { permissions } from "../role/permissions";
import { Effect } from "./Effect";
import { PlaceInput } from "./PlaceInput";
import { isComplete, type Place, placeFrom, placeOf } from "./place";

interface Search {
  principal?: string;
  role?: string;
  securable_id?: string;
  securable_kind?: string;
}

const WHAT = [{ value: "role", label: t("A role") }, { value: "permission", label: t("One permission") }];
const EFFECTS = [{ value: "ALLOW", label: t("Allow") }, { value: "DENY", label: t("Deny") }];

/** Gives somebody a role, after what they gain by it is shown. The address can name who, which role, and where. */
export function GiveRolePage() {
  const asked: Search = useSearch({ strict: false });
  const navigate = useNavigate();
  const queries = useQueryClient();
  const [principal, setPrincipal] = useState(asked.principal ?? "");
  const [what, setWhat] = useState("role");
  const [role, setRole] = useState(asked.role ?? "");
  const [permission, setPermission] = useState("");
  const [effect, setEffect] = useState("ALLOW");
  const [place, setPlace] = useState<Place>(() => placeFrom(asked.securable_id, asked.securable_kind));
  const [until, setUntil] = useState("");
  const [condition, setCondition] = useState("");
  const { data: every } = useQuery(permissions);
  const at = placeOf(place.id, place.kind);
  const body = {
    principal_id: principal,
    ...(what === "role" ? { role_id: role } : { permission }),
    effect,
    ...at,
    condition,
    // To the end of the chosen day, where the user is.
    ...(until ? { expires_at: new Date(`${until}T23:59:59`).toISOString() } : {}),
  };
  const complete = Boolean(principal && (what === "role" ? role : permission) && isComplete(place));
  const simulated = useQuery({
    queryKey: ["simulate", body],
    queryFn: async ({ signal }) => (await send<Simulation>("POST", "/api/v1/admin/decisions:simulate", { body: { grant: [body], securables: [at] }, signal })).body,
    enabled: complete,
    retry: false,
  });
  const give = useMutation({
    mutationFn: async () => (await send<Grant>("POST", "/api/v1/admin/grants", { body })).body,
    onSuccess: () => {
      void queries.invalidateQueries({ queryKey: ["items", "admin", "grants"] });
      notice(t("The role is given. It takes effect within a second."));
      void navigate({ to: "/admin/grants", search: { principal } as never });
    },
  });
  const problem = give.error instanceof Problem ? give.error : null;
  const fault = (name: string) => problem?.faults.find((one) => one.pointer === `/${name}`)?.detail;
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (complete) give.mutate();
  };
  const pairs = effect === "DENY" ? simulated.data?.lost : simulated.data?.gained;
  return (
    <Stack gap="lg" maw={860}>
      <Breadcrumbs>
        <Anchor component={Link} to="/admin/grants" size="sm">{t("Grants")}</Anchor>
        <Text size="sm">{t("Give a role")}</Text>
      </Breadcrumbs>
      <Title order={1}>{t("Give a role")}</Title>
      <form onSubmit={submit}>
        <Stack gap="md">
          <Picker label={t("Who")} description={t("A user, group, or service account")} required kinds={PRINCIPALS} value={principal} onChange={setPrincipal} error={fault("principal_id")} />
          <Group align="flex-end">
            <SegmentedControl aria-label={t("What to give")} data={WHAT} value={what} onChange={setWhat} />
            <SegmentedControl aria-label={t("Allow or deny")} data={EFFECTS} value={effect} onChange={setEffect} />
          </Group>
          {what === "role"
            ? <Picker label={t("Role")} required kinds={["admin.role"]} value={role} onChange={setRole} error={fault("role_id")} />
            : <Autocomplete label={t("Permission")} description={t("A name or a pattern, such as admin.user.*")} withAsterisk data={every?.items.map((one) => one.name) ?? []} limit={50} value={permission} onChange={setPermission} error={fault("permission")} spellCheck={false} />}
          <PlaceInput place={place} onChange={setPlace} error={fault("securable_id")} />
          <Group align="flex-start" grow>
            <TextInput type="date" label={t("Until")} description={t("Its last day. Empty: no end")} value={until} onChange={(event) => setUntil(event.currentTarget.value)} error={fault("expires_at")} />
            <TextInput label={t("Only if")} description={'A condition on the items, such as labels["stage"] == "test"'} value={condition} onChange={(event) => setCondition(event.currentTarget.value)} error={fault("condition")} spellCheck={false} />
          </Group>
          {complete && (
            <Effect
              title={effect === "DENY" ? t("What this takes away") : t("What they can do after this")}
              verb={effect === "DENY" ? "loses" : "gains"}
              found={simulated}
              pairs={pairs}
              none={effect === "DENY" ? t("Nobody loses a permission now.") : t("Nobody gains a permission now: they have it already, the group has no members, or the condition isn't met there.")}
            />
          )}
          {give.error && <Trouble error={give.error} />}
          <Group>
            <Button type="submit" loading={give.isPending} disabled={!complete}>{effect === "DENY" ? t("Deny") : t("Give")}</Button>
            <Button variant="default" component={Link} to="/admin/grants">{t("Cancel")}</Button>
            {principal && <Anchor component={Link} to="/admin/explain" search={{ principal, on: place.id || undefined, kind: at.securable_kind || undefined } as never} size="sm">{t("Explain their access")}</Anchor>}
          </Group>
        </Stack>
      </form>
    </Stack>
  );
}

import { Alert, Anchor, Breadcrumbs, Button, Group, NumberInput, Stack, Text, Textarea, Title } from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { type FormEvent, useState } from "react";
import type { IssuedInvitation, UserInfo } from "../../../api/generated/admin";
import { send } from "../../../api/http";
import { t } from "../../../language/text";
import { Section } from "../../../ui/Section";
import { PlaceInput } from "../access/PlaceInput";
import { isComplete, type Place, placeFrom } from "../access/place";
import { Picker } from "../../../fields/Picker";
import { addresses } from "./addresses";
import { type Sent, SentInvitations } from "./SentInvitations";

const NOWHERE: Place = placeFrom();

/** Invites people to an organization, all with the same groups and role. */
export function InvitePage() {
  const queries = useQueryClient();
  const { data: me } = useQuery({ queryKey: ["userinfo"], queryFn: async ({ signal }) => (await send<UserInfo>("POST", "/api/v1/admin/sessions:userinfo", { body: {}, signal })).body });
  const [text, setText] = useState("");
  const [chosen, setOrganization] = useState<string | null>(null);
  const [group, setGroup] = useState("");
  const [role, setRole] = useState("");
  const [place, setPlace] = useState(NOWHERE);
  const [days, setDays] = useState<string | number>(7);
  const organization = chosen ?? me?.organization_id ?? "";
  const { valid, invalid } = addresses(text);
  const complete = valid.length > 0 && !invalid.length && Boolean(organization) && (!role || isComplete(place));
  const invite = useMutation({
    mutationFn: async () => {
      const common = { organization_id: organization, groups: group ? [group] : [], grants: role ? [{ role_id: role, securable_id: place.id }] : [], days: Number(days) || 7 };
      const sent: Sent[] = [];
      for (const email of valid) {
        // One that is refused doesn't keep the others from being sent.
        const [answer, error] = await send<IssuedInvitation>("POST", "/api/v1/admin/invitations", { body: { ...common, email } }).then(({ body }) => [body, null] as const, (reason: unknown) => [null, reason] as const);
        sent.push({ email, invitation: answer, error });
      }
      return sent;
    },
    onSuccess: () => queries.invalidateQueries({ queryKey: ["items", "admin", "invitations"] }),
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (complete) invite.mutate();
  };
  if (invite.data) return <SentInvitations sent={invite.data} onAgain={() => { setText(""); invite.reset(); }} />;
  return (
    <Stack gap="lg" maw={860}>
      <Breadcrumbs>
        <Anchor component={Link} to="/admin/invitations" size="sm">{t("Invitations")}</Anchor>
        <Text size="sm">{t("Invite people")}</Text>
      </Breadcrumbs>
      <div>
        <Title order={1}>{t("Invite people")}</Title>
        <Text size="sm" c="dimmed">{t("Each of them gets a link with which they choose a name and a password.")}</Text>
      </div>
      <form onSubmit={submit}>
        <Stack gap="md">
          <Textarea
            label={t("Mail addresses")}
            description={t("Separated by commas or lines")}
            withAsterisk
            autosize
            minRows={3}
            maxRows={12}
            value={text}
            onChange={(event) => setText(event.currentTarget.value)}
            error={invalid.length ? `${invalid.join(", ")} ${t("{count, plural, one {is no mail address} other {are no mail addresses}}", { count: invalid.length })}.` : undefined}
            spellCheck={false}
            data-autofocus
          />
          <Picker label={t("Organization")} required kinds={["admin.organization"]} value={organization} onChange={(id) => { setOrganization(id); setGroup(""); }} />
          <Section title={t("What they get")} note={t("Both are optional. You can only give what you can do yourself.")}>
            <Stack gap="sm">
              <Picker label={t("Group")} placeholder={t("None")} kinds={["admin.group"]} only={organization ? `organization_id == ${JSON.stringify(organization)}` : undefined} value={group} onChange={setGroup} />
              <Picker label={t("Role")} placeholder={t("None")} kinds={["admin.role"]} value={role} onChange={setRole} />
              {role && <PlaceInput place={place} onChange={setPlace} />}
            </Stack>
          </Section>
          <NumberInput label={t("Days until the invitations expire")} min={1} max={90} allowDecimal={false} value={days} onChange={setDays} maw={260} />
          {!group && !role && valid.length > 0 && <Alert variant="light" color="gray">{t("Without a group and a role, they can log in and see nothing yet.")}</Alert>}
          <Group>
            <Button type="submit" loading={invite.isPending} disabled={!complete}>{t("{count, plural, one {Invite} other {Invite {count} people}}", { count: valid.length })}</Button>
            <Button variant="default" component={Link} to="/admin/invitations">{t("Cancel")}</Button>
          </Group>
        </Stack>
      </form>
    </Stack>
  );
}

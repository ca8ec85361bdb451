import { Alert, Button, Group, Stack, Text, Title } from "@mantine/core";
import { Link } from "@tanstack/react-router";
import type { IssuedInvitation } from "../../../api/generated/admin";
import { Problem } from "../../../api/http";
import { t } from "../../../language/text";
import { State } from "../../../ui/State";
import { Rows } from "../../../ui/Rows";
import { InvitationLink } from "./InvitationLink";

export interface Sent {
  email: string;
  invitation: IssuedInvitation | null;
  error: unknown;
}

/** What became of invitations, with their links, which the platform shows once. */
export function SentInvitations({ sent, onAgain }: { sent: Sent[]; onAgain: () => void }) {
  const refused = sent.filter((one) => one.error);
  const count = sent.length - refused.length;
  return (
    <Stack gap="md">
      <Title order={1}>{t("{count, plural, one {1 person is invited} other {{count} people are invited}}", { count })}</Title>
      {count > 0 && <Alert color="orange" variant="light" role="status" title={t("Copy the links now. The platform doesn't show them again.")}>{t("Who has a link can accept the invitation. Pass each on to its person only.")}</Alert>}
      {refused.length > 0 && <Alert color="red" variant="light" role="alert" title={t("{count, plural, one {1 invitation was refused} other {{count} invitations were refused}}", { count: refused.length })}>{t("The table says why.")}</Alert>}
      <Rows
        label={t("Invited people")}
        columns={[t("Address"), t("State"), t("Link")]}
        rows={sent.map(({ email, invitation, error }) => ({
          id: email,
          cells: [
            email,
            invitation ? <State key="state" color="teal">{invitation.mail_problem ? t("Invited") : t("Mail is sent")}</State> : <State key="state" color="red">{t("Refused")}</State>,
            invitation ? <InvitationLink key="link" token={invitation.token} /> : <Text key="reason" size="sm">{error instanceof Problem ? error.message : t("The platform doesn't respond.")}</Text>,
          ],
        }))}
      />
      {sent.some((one) => one.invitation?.mail_problem) && <Text size="sm" c="dimmed">{sent.find((one) => one.invitation?.mail_problem)?.invitation?.mail_problem}</Text>}
      <Group>
        <Button component={Link} to="/admin/invitations">{t("Continue")}</Button>
        <Button variant="default" onClick={onAgain}>{t("Invite others")}</Button>
      </Group>
    </Stack>
  );
}

import { Anchor, Button, Group, Modal, Select, Skeleton, Stack, Text, Title } from "@mantine/core";
import { useInfiniteQuery, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { useState } from "react";
import type { Invitation, InvitationPage, IssuedInvitation } from "../../../api/generated/admin";
import { get, send } from "../../../api/http";
import { allowedSomewhere } from "../../../api/platform";
import { words } from "../../../api/schema";
import { Reference } from "../../../fields/Reference";
import { OperationButton } from "../../../kernel/OperationButton";
import { rich, t } from "../../../language/text";
import { State } from "../../../ui/State";
import { Time } from "../../../ui/Time";
import { Trouble } from "../../../ui/Trouble";
import { Rows } from "../../../ui/Rows";
import { useRights } from "../../../kernel/useRights";
import { InvitationLink } from "./InvitationLink";

const INVITE = "admin.invitation.create";
const RESEND = "admin.invitation.resend";
const PAGE = 100;
const STATES = ["PENDING", "ACCEPTED", "REVOKED", "EXPIRED"];

/** Invitations of people who have no account yet: what became of them, to send again, and to revoke. */
export function InvitationsPage() {
  const { state }: { state?: string } = useSearch({ strict: false });
  const navigate = useNavigate();
  const { data: mayInvite } = useQuery(allowedSomewhere(INVITE));
  const found = useInfiniteQuery({
    queryKey: ["items", "admin", "invitations", "page"],
    queryFn: ({ pageParam, signal }) => get<InvitationPage>("/api/v1/admin/invitations", { query: { page_size: PAGE, page_token: pageParam }, signal }),
    initialPageParam: "",
    getNextPageParam: (page) => page.next_page_token || undefined,
    retry: false,
  });
  const items = found.data?.pages.flatMap((page) => page.items).filter((one) => !state || one.state === state);
  return (
    <Stack gap="md">
      <Group justify="space-between" align="flex-start">
        <div>
          <Title order={1}>{t("Invitations")}</Title>
          <Text size="sm" c="dimmed">{t("Links with which new users join an organization.")}</Text>
        </div>
        <Button component={Link} to="/admin/invitations/new" disabled={!mayInvite} title={mayInvite === false ? t("You need the permission {INVITE}.", { INVITE }) : undefined}>{t("Invite people")}</Button>
      </Group>
      <Select label={t("State")} placeholder={t("Any")} clearable data={STATES.map((value) => ({ value, label: words(value.toLowerCase()) }))} value={state ?? null} onChange={(chosen) => void navigate({ to: "/admin/invitations", search: (chosen ? { state: chosen } : {}) as never, replace: true })} maw={240} />
      {found.error && <Trouble error={found.error} retry={() => found.refetch()} />}
      {found.isPending && <Skeleton height={200} />}
      {items && (
        <Rows
          label={t("Invitations")}
          empty={state ? t("No invitation that you can see is in this state.") : t("There are no invitations that you can see. Invite the first people.")}
          columns={[t("Address"), t("State"), t("Organization"), t("Invited by"), t("Expires"), t("Mail"), t("Do")]}
          rows={items.map((one) => ({
            id: one.id,
            cells: [
              <Anchor key="email" component={Link} to={`/admin/invitations/${one.id}`} size="sm">{one.email}</Anchor>,
              <Group key="state" gap={4} wrap="nowrap">
                <State value={one.state} />
                {one.user_id && <Reference id={one.user_id} kinds={["admin.user"]} compact />}
              </Group>,
              <Reference key="organization" id={one.organization_id} kinds={["admin.organization"]} compact />,
              <Text key="by" size="sm" span>{one.created_by}, <Time value={one.created_at} /></Text>,
              one.state === "PENDING" ? <Time key="expires" value={one.expires_at} /> : null,
              one.mailed_at ? <Text key="mail" size="sm" span>{rich("Sent {time}", { time: <Time value={one.mailed_at} /> })}</Text> : one.mail_problem,
              one.state === "PENDING" || one.state === "EXPIRED" ? (
                <Group key="do" gap={4} wrap="nowrap">
                  <Resend invitation={one} />
                  <OperationButton service="admin" plural="invitations" verb="revoke" id={one.id} item={one as unknown as Record<string, unknown>} size="compact-xs" />
                </Group>
              ) : null,
            ],
          }))}
        />
      )}
      {found.hasNextPage && <Group><Button variant="default" loading={found.isFetchingNextPage} onClick={() => found.fetchNextPage()}>{t("Show more")}</Button></Group>}
    </Stack>
  );
}

/** Sends an invitation again, with a new link. The link before it no longer works. */
function Resend({ invitation }: { invitation: Invitation }) {
  const queries = useQueryClient();
  const [opened, setOpened] = useState(false);
  const right = useRights([RESEND], { id: invitation.organization_id, kind: "admin.organization" })(RESEND);
  const again = useMutation({
    mutationFn: async () => (await send<IssuedInvitation>("POST", `/api/v1/admin/invitations/${invitation.id}:resend`, { body: {} })).body,
    onSuccess: () => queries.invalidateQueries({ queryKey: ["items", "admin", "invitations"] }),
  });
  const close = () => {
    setOpened(false);
    again.reset();
  };
  return (
    <>
      <Button size="compact-xs" variant="default" {...right} onClick={() => setOpened(true)}>{t("Resend")}</Button>
      <Modal opened={opened} onClose={close} title={t("Invite {email} again", { email: invitation.email })} size="lg">
        <Stack>
          {again.data ? (
            <>
              <Text size="sm" role="status">{t("{mail_problem} Copy the link now: the platform doesn't show it again.", { mail_problem: again.data.mail_problem ?? t("A mail with the new link is sent.") })}</Text>
              <InvitationLink token={again.data.token} />
              <Group justify="flex-end"><Button onClick={close}>{t("Close")}</Button></Group>
            </>
          ) : (
            <>
              <Text size="sm">{t("The invitation gets a new link, which works for 7 days. The link before it no longer works.")}</Text>
              {again.error && <Trouble error={again.error} />}
              <Group justify="flex-end">
                <Button variant="default" onClick={close}>{t("Cancel")}</Button>
                <Button loading={again.isPending} onClick={() => again.mutate()} data-autofocus>{t("Resend")}</Button>
              </Group>
            </>
          )}
        </Stack>
      </Modal>
    </>
  );
}

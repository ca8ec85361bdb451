import { Anchor, Breadcrumbs, Code, CopyButton, Group, Stack, Tabs, Text, Title, UnstyledButton } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { send } from "../../../api/http";
import { catalogues, kindOf, method, openApi } from "../../../api/platform";
import { words } from "../../../api/schema";
import { Actions } from "../../../kernel/Actions";
import { Activity } from "../../../kernel/Activity";
import { Fields } from "../../../kernel/Fields";
import { History } from "../../../kernel/History";
import { t } from "../../../language/text";
import { State } from "../../../ui/State";
import { Trouble } from "../../../ui/Trouble";
import { PrincipalGrants } from "../access/PrincipalGrants";
import { Events } from "../audit/Events";
import { Members } from "../group/Members";
import { Account } from "./Account";
import { Keys } from "./Keys";
import { Access } from "./Access";
import { Reach } from "./Reach";
import { UserSessions } from "./UserSessions";

interface Principal extends Record<string, unknown> {
  id: string;
  name: string;
  organization_id: string;
  spec: { title?: string; description?: string; emails?: string[]; source?: string };
  /** Groups have no state. */
  status?: { state?: string };
}

type Plural = "users" | "service-accounts" | "groups";

const OF_ALL = { activity: t("Activity"), details: t("Details"), history: t("History") };
const TABS: Record<Plural, Record<string, string>> = {
  users: { account: t("Account"), access: t("Access"), reach: t("What they can do"), sessions: t("Sessions"), keys: t("Keys"), ...OF_ALL },
  "service-accounts": { keys: t("Keys"), grants: t("Grants"), reach: t("What it can do"), ...OF_ALL },
  groups: { members: t("Members"), grants: t("Grants"), reach: t("What its members can do"), ...OF_ALL },
};
/** What only the users themselves do, on their account page. */
const OWN = ["enroll-one-time-password", "confirm-one-time-password", "renew-recovery-codes"];
/** What the tabs offer in a better way. */
const ON_TABS = ["revoke-sessions", "add-members", "remove-members"];

/** A user: how they log in, what they can do and why, their keys, and what they did. */
export function UserPage() {
  return <PrincipalPage plural="users" />;
}

/** A service account: its keys, what it can do and why, and what it did. */
export function ServiceAccountPage() {
  return <PrincipalPage plural="service-accounts" />;
}

/** A group: its members, and what they can do by it. */
export function GroupPage() {
  return <PrincipalPage plural="groups" />;
}

function PrincipalPage({ plural }: { plural: Plural }) {
  const { id = "" } = useParams({ strict: false });
  const { tab = Object.keys(TABS[plural])[0] }: { tab?: string } = useSearch({ strict: false });
  const navigate = useNavigate();
  const { data: found } = useQuery(catalogues);
  const { data: document } = useQuery(openApi("admin"));
  const path = `/api/v1/admin/${plural}/${encodeURIComponent(id)}`;
  const read = useQuery({ queryKey: ["item", "admin", plural, id], queryFn: ({ signal }) => send<Principal>("GET", path, { signal }), retry: false });
  const kind = found && kindOf(found, "admin", plural);
  const body = read.data?.body;
  const state = body?.status?.state;
  const schema = document?.components.schemas[(kind && method(kind, "get")?.result) ?? ""];
  return (
    <Stack gap="md">
      <Breadcrumbs>
        <Anchor component={Link} to={`/admin/${plural}`} size="sm">{words(plural)}</Anchor>
        <Text size="sm">{body?.name ?? id}</Text>
      </Breadcrumbs>
      {read.error && <Trouble error={read.error} retry={() => read.refetch()} />}
      {body && kind && (
        <>
          <Group justify="space-between" align="flex-start">
            <div>
              <Group gap="sm">
                <Title order={1}>{body.spec.title || body.name}</Title>
                {state && <State value={state}>{state === "ACTIVE" ? t("Active") : t("Suspended")}</State>}
              </Group>
              <Group gap="sm">
                <Text size="sm" c="dimmed">{body.spec.description || body.name}</Text>
                <CopyButton value={body.id}>{({ copied, copy }) => <UnstyledButton onClick={copy} title={t("Copy the id")}><Code>{copied ? t("Copied") : body.id}</Code></UnstyledButton>}</CopyButton>
                <Anchor component={Link} to={`/admin/organizations/${body.organization_id}`} size="sm">{t("Organization")}</Anchor>
                <Anchor component={Link} to="/admin/explain" search={{ principal: body.id } as never} size="sm">{t("Explain access")}</Anchor>
              </Group>
            </div>
            <Actions service="admin" kind={kind} id={body.id} item={body} etag={read.data?.etag} first={["update", "suspend", "activate", "set-password"]} without={[state === "ACTIVE" ? "activate" : "suspend", ...OWN, ...ON_TABS]} />
          </Group>
          <Tabs value={tab} keepMounted={false} onChange={(chosen) => void navigate({ to: `/admin/${plural}/${encodeURIComponent(id)}`, search: { tab: chosen ?? undefined } as never })}>
            <Tabs.List>{Object.entries(TABS[plural]).map(([value, text]) => <Tabs.Tab key={value} value={value}>{text}</Tabs.Tab>)}</Tabs.List>
            {plural === "users" && (
              <>
                <Tabs.Panel value="account" pt="md"><Account path={path} emails={body.spec.emails ?? []} /></Tabs.Panel>
                <Tabs.Panel value="access" pt="md"><Access path={path} id={body.id} /></Tabs.Panel>
              </>
            )}
            {plural === "users" && <Tabs.Panel value="sessions" pt="md"><UserSessions path={path} id={body.id} name={body.name} /></Tabs.Panel>}
            {plural === "groups" && <Tabs.Panel value="members" pt="md"><Members path={path} id={body.id} name={body.name} source={body.spec.source ?? "LOCAL"} /></Tabs.Panel>}
            <Tabs.Panel value="grants" pt="md"><PrincipalGrants principal={body.id} name={body.name} /></Tabs.Panel>
            <Tabs.Panel value="reach" pt="md"><Reach principal={body.id} name={body.name} /></Tabs.Panel>
            <Tabs.Panel value="keys" pt="md"><Keys principal={body.id} name={body.name} kind={`admin.${kind.name}`} /></Tabs.Panel>
            <Tabs.Panel value="activity" pt="md">{plural === "groups" ? <Activity id={body.id} /> : <Events filter={`principal_id == "${body.id}"`} />}</Tabs.Panel>
            <Tabs.Panel value="details" pt="md">{schema && document && <Fields item={body} schema={schema} schemas={document.components.schemas} />}</Tabs.Panel>
            <Tabs.Panel value="history" pt="md"><History path={`${path}/revisions`} /></Tabs.Panel>
          </Tabs>
        </>
      )}
    </Stack>
  );
}

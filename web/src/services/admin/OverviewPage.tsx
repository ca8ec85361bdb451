import { Anchor, Card, Group, SimpleGrid, Stack, Text, Title } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { get, Problem } from "../../api/http";
import { t } from "../../language/text";
import { Trouble } from "../../ui/Trouble";
import { Section } from "../../ui/Section";

type Listed = Record<string, unknown>;

interface Page {
  items: Listed[];
  next_page_token: string | null;
}

interface Facets {
  outcome: { value: string | null; count: number }[];
}

const DAY = 86_400_000;
const MOST = 200;

/** What an administrator does, and what needs them. */
const AREAS: { title: string; pages: [string, string, string][] }[] = [
  {
    title: t("Structure"),
    pages: [
      ["/admin/organizations", t("Organizations"), t("Tenants, which can't see one another")],
      ["/admin/projects", t("Projects"), t("Parts of organizations, and their moves")],
    ],
  },
  {
    title: t("People and programs"),
    pages: [
      ["/admin/users", t("Users"), t("Who can log in")],
      ["/admin/invitations", t("Invitations"), t("Links to join an organization")],
      ["/admin/groups", t("Groups"), t("Users who have the same rights")],
      ["/admin/service-accounts", t("Service accounts"), t("Programs that use the platform")],
      ["/admin/api-keys", t("API keys"), t("What programs authenticate with")],
      ["/admin/sessions", t("Sessions"), t("Where you are logged in")],
      ["/admin/identity-providers", t("Identity providers"), t("Logins with your company's accounts")],
    ],
  },
  {
    title: t("Rights"),
    pages: [
      ["/admin/explain", t("Explain access"), t("Why a user can do something, or can't")],
      ["/admin/grants", t("Grants"), t("Who has which role, and where")],
      ["/admin/roles", t("Roles"), t("Permissions under one name")],
    ],
  },
  {
    title: t("Operation"),
    pages: [
      ["/admin/monitoring", t("Monitoring"), t("Processes, queues, errors, and disks")],
      ["/admin/audit-events", t("Audit"), t("Every change and every refusal")],
      ["/admin/webhook-endpoints", t("Webhooks"), t("Events that other systems receive")],
      ["/admin/settings", t("Settings"), t("Passwords, logins, and keys")],
      ["/admin/signing-keys", t("Signing keys"), t("Keys of the platform's tokens")],
    ],
  },
];

/** The start of administration: what needs attention, and all of its pages. */
export function OverviewPage() {
  return (
    <Stack gap="lg">
      <div>
        <Title order={1}>{t("Administration")}</Title>
        <Text size="sm" c="dimmed">{t("Each page shows what your rights include. To set up a new team, create an organization, a project, and a group, invite the users, and grant the group a role on the project.")}</Text>
      </div>
      <Attention />
      {AREAS.map((area) => (
        <Section key={area.title} title={area.title}>
          <SimpleGrid cols={{ base: 1, xs: 2, md: 3, xl: 4 }} spacing="sm">
            {area.pages.map(([to, title, text]) => (
              <Card key={to} component={Link} to={to} withBorder padding="sm">
                <Text fw={600}>{title}</Text>
                <Text size="sm" c="dimmed">{text}</Text>
              </Card>
            ))}
          </SimpleGrid>
        </Section>
      ))}
    </Stack>
  );
}

function Attention() {
  const now = Date.now();
  return (
    <Section title={t("Now")}>
      <SimpleGrid cols={{ base: 1, xs: 2, lg: 4 }} spacing="sm">
        <Refusals />
        <Waiting title={t("Open invitations")} path="/api/v1/admin/invitations" matches={(one) => one.state === "PENDING"} to="/admin/invitations" none={t("No invitation is open.")} />
        <Waiting title={t("Suspended users")} path="/api/v1/admin/users" filter={'state == "SUSPENDED"'} to="/admin/users" none={t("No user is suspended.")} />
        <Waiting title={t("Keys that expire within two weeks")} path="/api/v1/admin/api-keys" matches={(one) => !one.revoked_at && isBetween(String(one.expires_at), now, now + 14 * DAY)} to="/admin/api-keys" none={t("No key expires soon.")} />
      </SimpleGrid>
    </Section>
  );
}

function Refusals() {
  const since = new Date(Math.floor(Date.now() / 3_600_000) * 3_600_000 - DAY).toISOString();
  const facets = useQuery({ queryKey: ["admin", "refusals", since], queryFn: ({ signal }) => get<Facets>("/api/v1/admin/audit-events:facets", { query: { since }, signal }), retry: false });
  const count = facets.data?.outcome.find((one) => one.value === "denied")?.count ?? 0;
  return (
    <Tile title={t("Refusals in the last day")} error={facets.error} ready={facets.isSuccess}>
      {count ? <Anchor component={Link} to="/admin/audit-events" search={{ filter: 'outcome == "denied"' } as never}>{t("{count, number} denied", { count })}</Anchor> : <Text size="sm" c="dimmed">{t("No attempt was denied.")}</Text>}
    </Tile>
  );
}

interface WaitingProps {
  title: string;
  path: string;
  to: string;
  none: string;
  filter?: string;
  /** Which items count, if the filter of the list can't say it. */
  matches?: (one: Listed) => boolean;
}

function Waiting({ title, path, filter, to, none, matches }: WaitingProps) {
  const page = useQuery({ queryKey: ["admin", "waiting", path, filter], queryFn: ({ signal }) => get<Page>(path, { query: { filter, page_size: MOST }, signal }), retry: false });
  const found = page.data?.items.filter(matches ?? (() => true)) ?? [];
  const text = page.data?.next_page_token ? t("At least {count, number}", { count: found.length }) : found.length.toLocaleString();
  return (
    <Tile title={title} error={page.error} ready={page.isSuccess}>
      {found.length ? <Anchor component={Link} to={to} search={{ filter } as never}>{text}</Anchor> : <Text size="sm" c="dimmed">{none}</Text>}
    </Tile>
  );
}

function isBetween(time: string, from: number, until: number): boolean {
  const at = Date.parse(time);
  return at >= from && at <= until;
}

function Tile({ title, error, ready, children }: { title: string; error: unknown; ready: boolean; children: React.ReactNode }) {
  const refused = error instanceof Problem && error.status === 403;
  return (
    <Card withBorder padding="sm">
      <Text size="xs" c="dimmed">{title}</Text>
      <Group>
        {refused ? <Text size="sm" c="dimmed">{t("Your roles don't include this.")}</Text> : error ? <Trouble error={error} /> : ready ? children : <Text size="sm" c="dimmed">{t("Loading")}</Text>}
      </Group>
    </Card>
  );
}

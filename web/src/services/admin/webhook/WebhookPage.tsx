import { Anchor, Breadcrumbs, Button, Code, Group, Skeleton, Stack, Tabs, Text, Title } from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { get, send } from "../../../api/http";
import { allowed, catalogues, kindOf, openApi } from "../../../api/platform";
import { Actions } from "../../../kernel/Actions";
import { Fields } from "../../../kernel/Fields";
import { History } from "../../../kernel/History";
import { rich, t } from "../../../language/text";
import { State } from "../../../ui/State";
import { notice } from "../../../ui/notice";
import { Time } from "../../../ui/Time";
import { Trouble } from "../../../ui/Trouble";
import { happened } from "../audit/events";
import { Rows } from "../../../ui/Rows";

interface Endpoint extends Record<string, unknown> {
  id: string;
  name: string;
  spec: { url: string; description?: string; types?: string[] };
  status: { state: string };
}

interface Delivery {
  sequence: number;
  event_id: string;
  type: string;
  subject: string;
  state: "PENDING" | "DEAD";
  attempts: number;
  next_at: string;
  last_error: string;
}

const REDELIVER = "admin.webhook_endpoint.redeliver";
const TABS = { deliveries: t("Deliveries"), details: t("Details"), history: t("History") };

/** A webhook endpoint: what it has not accepted and why, and its test. */
export function WebhookPage() {
  const { id = "" } = useParams({ strict: false });
  const { tab = "deliveries" }: { tab?: string } = useSearch({ strict: false });
  const navigate = useNavigate();
  const { data: found } = useQuery(catalogues);
  const { data: document } = useQuery(openApi("admin"));
  const path = `/api/v1/admin/webhook-endpoints/${encodeURIComponent(id)}`;
  const endpoint = useQuery({ queryKey: ["item", "admin", "webhook-endpoints", id], queryFn: ({ signal }) => send<Endpoint>("GET", path, { signal }), retry: false });
  const kind = found && kindOf(found, "admin", "webhook-endpoints");
  const body = endpoint.data?.body;
  const schema = document?.components.schemas.WebhookEndpoint;
  return (
    <Stack gap="md">
      <Breadcrumbs>
        <Anchor component={Link} to="/admin/webhook-endpoints" size="sm">{t("Webhook endpoints")}</Anchor>
        <Text size="sm">{body?.name ?? id}</Text>
      </Breadcrumbs>
      {endpoint.error && <Trouble error={endpoint.error} retry={() => endpoint.refetch()} />}
      {body && kind && (
        <>
          <Group justify="space-between" align="flex-start">
            <div>
              <Group gap="sm">
                <Title order={1}>{body.name}</Title>
                <State value={body.status.state}>{body.status.state === "ACTIVE" ? t("Active") : t("Disabled")}</State>
              </Group>
              <Text size="sm" style={{ overflowWrap: "anywhere" }}>{rich("Receives {types} at {url}", { types: body.spec.types?.length ? body.spec.types.join(", ") : t("all events"), url: <Code>{body.spec.url}</Code> })}</Text>
            </div>
            <Actions service="admin" kind={kind} id={body.id} item={body} etag={endpoint.data?.etag} first={["update", "test", "rotate-secret"]} without={[body.status.state === "ACTIVE" ? "enable" : "disable"]} />
          </Group>
          <Tabs value={tab} keepMounted={false} onChange={(chosen) => void navigate({ to: `/admin/webhook-endpoints/${encodeURIComponent(id)}`, search: { tab: chosen ?? undefined } as never })}>
            <Tabs.List>{Object.entries(TABS).map(([value, text]) => <Tabs.Tab key={value} value={value}>{text}</Tabs.Tab>)}</Tabs.List>
            <Tabs.Panel value="deliveries" pt="md"><Deliveries path={path} id={body.id} active={body.status.state === "ACTIVE"} /></Tabs.Panel>
            <Tabs.Panel value="details" pt="md">{schema && document && <Fields item={body} schema={schema} schemas={document.components.schemas} />}</Tabs.Panel>
            <Tabs.Panel value="history" pt="md"><History path={`${path}/revisions`} /></Tabs.Panel>
          </Tabs>
        </>
      )}
    </Stack>
  );
}

function Deliveries({ path, id, active }: { path: string; id: string; active: boolean }) {
  const queries = useQueryClient();
  const { data: rights } = useQuery(allowed([REDELIVER], { id, kind: "admin.webhook_endpoint" }));
  const key = ["deliveries", id];
  const waiting = useQuery({ queryKey: key, queryFn: ({ signal }) => get<{ items: Delivery[] }>(`${path}/deliveries`, { signal }), refetchInterval: 5000, retry: false });
  const redelivery = useMutation({
    mutationFn: async (sequences: number[] | null) => (await send<{ count: number }>("POST", `${path}:redeliver`, { body: sequences ? { sequences } : {} })).body,
    onSuccess: ({ count }) => {
      notice(t("{count, plural, one {1 event is sent again} other {{count} events are sent again}}", { count }));
      void queries.invalidateQueries({ queryKey: key });
    },
  });
  if (waiting.error) return <Trouble error={waiting.error} retry={() => waiting.refetch()} />;
  if (!waiting.data) return <Skeleton height={120} />;
  const dead = waiting.data.items.filter((one) => one.state === "DEAD");
  const permitted = rights?.has(REDELIVER) ?? false;
  const button = { disabled: !permitted || redelivery.isPending, title: rights && !permitted ? t("You need the permission {REDELIVER}.", { REDELIVER }) : undefined };
  return (
    <Stack gap="sm">
      <Group justify="space-between">
        <Text size="sm" c="dimmed">{t("Events that the endpoint has not accepted. Accepted events are not kept here: the audit log has them all.")}</Text>
        {dead.length > 0 && <Button size="xs" variant="default" {...button} onClick={() => redelivery.mutate(null)}>{t("Send all {count} again", { count: dead.length })}</Button>}
      </Group>
      {redelivery.error && <Trouble error={redelivery.error} />}
      <Rows
        label={t("Deliveries")}
        empty={active ? t("The endpoint has accepted every event.") : t("The endpoint is disabled, so no event waits for it.")}
        columns={[t("Event"), t("Subject"), t("State"), t("Attempts"), t("Response of the last attempt"), t("Next attempt"), t("Do")]}
        rows={waiting.data.items.map((one) => ({
          id: String(one.sequence),
          cells: [
            <Anchor key="event" component={Link} to="/admin/audit-events" search={{ filter: `id == "${one.event_id}"` } as never} size="sm">{happened(one.type)}</Anchor>,
            <Code key="subject">{one.subject}</Code>,
            <State key="state" color={one.state === "DEAD" ? "red" : "orange"}>{one.state === "DEAD" ? t("Given up") : t("Is tried again")}</State>,
            one.attempts,
            one.last_error,
            one.state === "PENDING" ? <Time key="next" value={one.next_at} /> : null,
            one.state === "DEAD" ? <Button key="again" size="compact-xs" variant="default" {...button} onClick={() => redelivery.mutate([one.sequence])}>{t("Send again")}</Button> : null,
          ],
        }))}
      />
    </Stack>
  );
}

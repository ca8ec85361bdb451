import { Anchor, Group, Stack, Switch, Table, Text, Title, Tooltip } from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { get, send } from "../../../api/http";
import { allowed } from "../../../api/platform";
import { rich, t } from "../../../language/text";
import { notice } from "../../../ui/notice";
import { State } from "../../../ui/State";
import { Time } from "../../../ui/Time";
import { Trouble } from "../../../ui/Trouble";
import { RunsTabs } from "./RunsTabs";

interface Automation {
  id: string;
  description: string;
  state: string;
  job: string | null;
  assets: string[];
  last_tick: { at: string; status: string; message: string | null } | null;
  cron?: string;
  timezone?: string;
  upcoming?: string[];
  kind?: string;
  min_interval_seconds?: number;
}

type Plural = "schedules" | "sensors";

const PATH = "/api/v1/ai-catalog";
const TICKS: Record<string, string> = { SUCCESS: t("Started a run"), SKIPPED: t("Skipped"), FAILURE: t("Failed"), STARTED: t("In progress") };

const automations = (plural: Plural) => ({
  queryKey: ["automation", plural],
  queryFn: ({ signal }: { signal: AbortSignal }) => get<{ items: Automation[] }>(`${PATH}/${plural}`, { query: { page_size: 1000 }, signal }),
  refetchInterval: 10_000,
  retry: false,
});

/** What starts runs by itself: schedules and sensors, when they were evaluated last, and when they are next. */
export function AutomationPage() {
  return (
    <Stack gap="md">
      <Title order={1}>{t("Runs")}</Title>
      <RunsTabs active="/runs/automation" />
      <List plural="schedules" title={t("Schedules")} none={t("There are no schedules that you can see.")} />
      <List plural="sensors" title={t("Sensors")} none={t("There are no sensors that you can see.")} />
    </Stack>
  );
}

function List({ plural, title, none }: { plural: Plural; title: string; none: string }) {
  const found = useQuery(automations(plural));
  const items = found.data?.items ?? [];
  return (
    <section aria-label={title}>
      <Title order={2} mb="xs">{title}</Title>
      {found.error && <Trouble error={found.error} retry={() => found.refetch()} />}
      {found.data && !items.length && <Text size="sm" c="dimmed">{none}</Text>}
      {items.length > 0 && (
        <Table.ScrollContainer minWidth={760}>
          <Table verticalSpacing={6} aria-label={title}>
            <Table.Thead>
              <Table.Tr>
                <Table.Th w={64}>{t("On")}</Table.Th>
                <Table.Th>{t("Name")}</Table.Th>
                <Table.Th>{t("When")}</Table.Th>
                <Table.Th>{t("Last evaluation")}</Table.Th>
                <Table.Th>{t("Runs")}</Table.Th>
              </Table.Tr>
            </Table.Thead>
            <Table.Tbody>{items.map((one) => <Row key={one.id} one={one} plural={plural} />)}</Table.Tbody>
          </Table>
        </Table.ScrollContainer>
      )}
    </section>
  );
}

function Row({ one, plural }: { one: Automation; plural: Plural }) {
  const by = plural === "schedules" ? "SCHEDULE" : one.kind === "AUTO_MATERIALIZE" || one.kind === "AUTOMATION" ? "CONDITION" : "SENSOR";
  return (
    <Table.Tr>
      <Table.Td><OnOff one={one} plural={plural} /></Table.Td>
      <Table.Td maw={360}>
        <Anchor component={Link} to={`/ai-catalog/${plural}/${encodeURIComponent(one.id)}`} size="sm" display="block">{one.id}</Anchor>
        <Text size="xs" c="dimmed" lineClamp={2}>{one.description}</Text>
      </Table.Td>
      <Table.Td>{plural === "schedules" ? <Times one={one} /> : <Text size="sm">{t("At most every {min_interval_seconds} s", { min_interval_seconds: one.min_interval_seconds })}</Text>}</Table.Td>
      <Table.Td maw={320}><LastTick one={one} /></Table.Td>
      <Table.Td><Anchor component={Link} to="/runs" search={{ origin: by, by: one.id } as never} size="sm">{t("Show runs")}</Anchor></Table.Td>
    </Table.Tr>
  );
}

/** The next times of a schedule. */
function Times({ one }: { one: Automation }) {
  const upcoming = one.upcoming ?? [];
  const [next] = upcoming;
  return (
    <Stack gap={0}>
      <Text size="sm" ff="monospace">{one.cron} <Text span size="xs" c="dimmed">{one.timezone}</Text></Text>
      {next && (
        <Tooltip label={<>{upcoming.map((time) => <div key={time}>{new Date(time).toLocaleString()}</div>)}</>} openDelay={300}>
          <Text size="xs" c="dimmed" tabIndex={0}>{rich("Next {time}", { time: <Time value={next} /> })}</Text>
        </Tooltip>
      )}
    </Stack>
  );
}

/** The last evaluation, and why it started nothing. */
function LastTick({ one }: { one: Automation }) {
  const tick = one.last_tick;
  if (!tick) return <Text size="sm" c="dimmed">{t("Not yet")}</Text>;
  return (
    <Stack gap={0}>
      <Group gap={6} wrap="nowrap">
        {tick.status === "FAILURE" ? <State value="FAILED" size="sm" /> : <Text size="sm">{TICKS[tick.status] ?? tick.status}</Text>}
        <Text size="xs" c="dimmed"><Time value={tick.at} /></Text>
      </Group>
      {tick.message && <Text size="xs" lineClamp={2} title={tick.message} style={{ overflowWrap: "anywhere" }}>{tick.message}</Text>}
    </Stack>
  );
}

function OnOff({ one, plural }: { one: Automation; plural: Plural }) {
  const queries = useQueryClient();
  const kind = `ai_catalog.${plural.slice(0, -1)}`;
  const { data: rights } = useQuery(allowed([`${kind}.start`, `${kind}.stop`], { id: one.id, kind }));
  const on = one.state === "RUNNING";
  const verb = on ? "stop" : "start";
  const permitted = rights?.has(`${kind}.${verb}`) ?? false;
  const turn = useMutation({
    mutationFn: () => send("POST", `${PATH}/${plural}/${encodeURIComponent(one.id)}:${verb}`, { body: {} }),
    onSuccess: () => notice(t("{id} is {on}", { id: one.id, on: on ? t("off") : t("on") })),
    onError: (error) => notice(error.message),
    onSettled: () => queries.invalidateQueries({ queryKey: ["automation", plural] }),
  });
  return (
    <Switch
      size="xs"
      checked={turn.isPending ? !on : on}
      disabled={!permitted || turn.isPending}
      aria-label={t("{id} is {on}", { id: one.id, on: on ? t("on") : t("off") })}
      title={permitted || !rights ? undefined : t("You need the permission {kind}.{verb}.", { kind, verb })}
      onChange={() => turn.mutate()}
    />
  );
}

import { Alert, Group, List, SimpleGrid, Stack, Text, Title } from "@mantine/core";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { words } from "../../../api/schema";
import { Chart } from "../../../ui/Chart";
import { State } from "../../../ui/State";
import { Time } from "../../../ui/Time";
import { Trouble } from "../../../ui/Trouble";
import { Figure } from "../Figure";
import { Section } from "../Section";
import { type Row, Rows } from "../Rows";
import { bytes, seconds, share } from "../quantities";
import { failing, mean, type PlatformState, rates, SAMPLE_SECONDS, samples, slowest, troubles } from "./state";

const SLOWEST = 10;
const BREAKERS = { CLOSED: ["Calls pass", "teal"], HALF_OPEN: ["One call probes", "orange"], OPEN: ["Calls are refused", "red"] } as const;

/** The state of the platform, measured every few seconds while the page is open. */
export function MonitoringPage() {
  const client = useQueryClient();
  const measured = useQuery(samples(client));
  const kept = measured.data ?? [];
  const now = kept.at(-1);
  return (
    <Stack gap="lg">
      <div>
        <Title order={1}>Monitoring</Title>
        <Text size="sm" c="dimmed">
          Measured every {SAMPLE_SECONDS} seconds while this page is open. Counts are those of the API process that responds{now && <>, which started <Time value={now.started_at} /></>}.
        </Text>
      </div>
      {measured.error && <Trouble error={measured.error} retry={() => measured.refetch()} />}
      {now && <Present now={now} kept={kept} />}
    </Stack>
  );
}

function Present({ now, kept }: { now: PlatformState; kept: PlatformState[] }) {
  const found = troubles(now);
  const recent = rates(kept);
  const last = recent.at(-1);
  const requests = now.operations.reduce((sum, load) => sum + load.requests, 0);
  const failed = now.operations.reduce((sum, load) => sum + load.failed, 0);
  const lag = now.gauges.find((gauge) => gauge.name === "headwater_outbox_events_behind")?.values;
  const x = { name: "Time" };
  return (
    <>
      {found.length ? (
        <Alert color="orange" variant="light" title="Needs attention" role="status">
          <List size="sm">{found.map((one) => <List.Item key={one}>{one}</List.Item>)}</List>
        </Alert>
      ) : (
        <Alert color="teal" variant="light" title="Nothing needs attention" role="status" />
      )}
      <SimpleGrid cols={{ base: 2, sm: 3, lg: 6 }} spacing="sm">
        <Figure label="Requests per second" value={last ? last.requestsPerSecond.toFixed(1) : "Measuring"} />
        <Figure label="Mean response time" value={last ? (last.meanSeconds === null ? "No requests" : seconds(last.meanSeconds)) : "Measuring"} />
        <Figure label="Failed since start" value={share(failed, requests)} note={`${failed.toLocaleString()} of ${requests.toLocaleString()}`} />
        <Figure label="Requests in flight" value={now.in_flight.toLocaleString()} />
        <Figure label="Events to deliver" value={lag ? lag.reduce((sum, one) => sum + one.value, 0).toLocaleString() : "Not measured"} />
        <Figure label="Database" value={now.database.bytes === null ? "Not measured" : bytes(now.database.bytes)} note={now.database.seconds === null ? "does not respond" : `${now.database.system}, reads in ${seconds(now.database.seconds)}`} />
      </SimpleGrid>
      {recent.length > 1 && (
        <SimpleGrid cols={{ base: 1, md: 2 }}>
          <Section title="Requests">
            <Chart kind="line" label="Requests per second over time" height={220} x={x} y={{ name: "Requests", unit: "per s" }} series={[
              { name: "All", points: recent.map((one) => [one.at, one.requestsPerSecond]) },
              { name: "Failed", points: recent.map((one) => [one.at, one.failedPerSecond]) },
            ]} />
          </Section>
          <Section title="Response time">
            <Chart kind="line" label="Mean response time over time" height={220} x={x} y={{ name: "Mean", unit: "ms" }} series={[{ name: "Mean", points: recent.map((one) => [one.at, one.meanSeconds === null ? null : one.meanSeconds * 1000]) }]} />
          </Section>
        </SimpleGrid>
      )}
      <Section title="Processes" note="The processes that the supervisor runs on this machine.">
        {now.processes ? (
          <Rows
            label="Processes"
            columns={["Process", "State", "Restarts", "Last exit code", "Started", "Memory", "Processor time"]}
            rows={now.processes.map((one) => ({
              id: one.name,
              cells: [one.name, <State key="state" value={one.state} />, one.restarts, one.exit_code, one.started_at && <Time value={one.started_at} />, measuredOr(one.memory_bytes, bytes), measuredOr(one.cpu_seconds, seconds)],
            }))}
          />
        ) : <Text size="sm" c="dimmed">Not measured: no supervisor runs on this machine. Ask the system that runs the processes.</Text>}
      </Section>
      <Section title="Queues and lag">
        <Rows
          label="Queues and lag"
          columns={["What", "Of", "Now"]}
          rows={now.gauges.flatMap((gauge): Row[] => {
            if (gauge.values === null) return [{ id: gauge.name, cells: [gauge.description, null, "Not measured"] }];
            return gauge.values.map(({ label, value }) => ({ id: `${gauge.name} ${label}`, cells: [gauge.description, label && words(label.toLowerCase()), value] }));
          })}
        />
      </Section>
      <Section title="Thread pools" note="Calls beyond the limit of a pool are refused with 503.">
        <Rows label="Thread pools" columns={["Pool", "Running or waiting", "Limit", "Refused"]} rows={now.pools.map((pool) => ({ id: pool.name, cells: [words(pool.name), pool.held, pool.limit, pool.refused] }))} />
      </Section>
      <Section title="Dependencies" note="Systems that the platform calls. A circuit breaker refuses calls to one that fails repeatedly.">
        <Rows
          label="Dependencies"
          empty="The platform has not called another system yet."
          columns={["System", "Circuit breaker", "Calls", "Failed", "Refused", "Repeated"]}
          rows={now.dependencies.map((one) => ({
            id: one.name,
            cells: [one.name, <State key="breaker" color={BREAKERS[one.breaker][1]}>{BREAKERS[one.breaker][0]}</State>, one.calls, one.failures, one.refused, one.retries],
          }))}
        />
      </Section>
      <Section title="Storage">
        <Rows
          label="Storage"
          columns={["Place", "Free", "Size", "Used"]}
          rows={now.volumes.map((one) => ({
            id: one.purpose,
            cells: [one.purpose, measuredOr(one.free_bytes, bytes), measuredOr(one.total_bytes, bytes), one.total_bytes && one.free_bytes !== null ? share(one.total_bytes - one.free_bytes, one.total_bytes) : "Not measured"],
          }))}
        />
      </Section>
      <Section title="Slow operations" note="Operations with the longest mean time since the process started.">
        <Loads label="Slow operations" loads={slowest(now, SLOWEST)} />
      </Section>
      <Section title="Failed operations" note="Operations that responded with a status of 500 or more.">
        <Loads label="Failed operations" loads={failing(now)} empty="No operation has failed since the process started." />
      </Section>
      <Section title="Rejected requests" note="Requests that were refused before an operation ran.">
        <Rows label="Rejected requests" empty="No request was rejected." columns={["Reason", "Requests"]} rows={now.rejected.map((one) => ({ id: one.reason, cells: [words(one.reason), one.requests] }))} />
      </Section>
      <Group>
        <Text size="sm" c="dimmed">The same values are at <code>/metrics</code> in the format of Prometheus, with a history if your Prometheus collects them.</Text>
      </Group>
    </>
  );
}

function Loads({ label, loads, empty }: { label: string; loads: ReturnType<typeof slowest>; empty?: string }) {
  return (
    <Rows
      label={label}
      empty={empty ?? "There were no requests yet."}
      columns={["Operation", "Requests", "Mean", "95% faster than", "Refused", "Failed"]}
      rows={loads.map((load) => ({
        id: `${load.service} ${load.operation}`,
        cells: [<code key="operation">{load.operation}</code>, load.requests, seconds(mean(load)), load.p95_seconds === null ? "Not measured" : seconds(load.p95_seconds), share(load.refused, load.requests), load.failed],
      }))}
    />
  );
}

function measuredOr(value: number | null, text: (value: number) => string): string {
  return value === null ? "Not measured" : text(value);
}

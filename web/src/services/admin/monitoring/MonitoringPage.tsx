import { Alert, Group, List, SimpleGrid, Stack, Text, Title } from "@mantine/core";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { words } from "../../../api/schema";
import { rich, t } from "../../../language/text";
import { Chart } from "../../../ui/Chart";
import { State } from "../../../ui/State";
import { Time } from "../../../ui/Time";
import { Trouble } from "../../../ui/Trouble";
import { Figure } from "../Figure";
import { Section } from "../../../ui/Section";
import { type Row, Rows } from "../../../ui/Rows";
import { bytes, seconds, share } from "../../../ui/quantities";
import { failing, mean, type PlatformState, rates, SAMPLE_SECONDS, samples, slowest, troubles } from "./state";

const SLOWEST = 10;
const BREAKERS = { CLOSED: [t("Calls pass"), "teal"], HALF_OPEN: [t("One call probes"), "orange"], OPEN: [t("Calls are refused"), "red"] } as const;

/** The state of the platform, measured every few seconds while the page is open. */
export function MonitoringPage() {
  const client = useQueryClient();
  const measured = useQuery(samples(client));
  const kept = measured.data ?? [];
  const now = kept.at(-1);
  return (
    <Stack gap="lg">
      <div>
        <Title order={1}>{t("Monitoring")}</Title>
        <Text size="sm" c="dimmed">
          {rich("Measured every {SAMPLE_SECONDS} seconds while this page is open. Counts are those of the API process that responds{now}.", { SAMPLE_SECONDS, now: now && rich(", which started {time}", { time: <Time value={now.started_at} /> }) })}
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
  const x = { name: t("Time") };
  return (
    <>
      {found.length ? (
        <Alert color="orange" variant="light" title={t("Needs attention")} role="status">
          <List size="sm">{found.map((one) => <List.Item key={one}>{one}</List.Item>)}</List>
        </Alert>
      ) : (
        <Alert color="teal" variant="light" title={t("Nothing needs attention")} role="status" />
      )}
      <SimpleGrid cols={{ base: 2, sm: 3, lg: 6 }} spacing="sm">
        <Figure label={t("Requests per second")} value={last ? last.requestsPerSecond.toFixed(1) : t("Measuring")} />
        <Figure label={t("Mean response time")} value={last ? (last.meanSeconds === null ? t("No requests") : seconds(last.meanSeconds)) : t("Measuring")} />
        <Figure label={t("Failed since start")} value={share(failed, requests)} note={t("{failed, number} of {requests, number}", { failed, requests })} />
        <Figure label={t("Requests in flight")} value={now.in_flight.toLocaleString()} />
        <Figure label={t("Events to deliver")} value={lag ? lag.reduce((sum, one) => sum + one.value, 0).toLocaleString() : t("Not measured")} />
        <Figure label={t("Database")} value={now.database.bytes === null ? t("Not measured") : bytes(now.database.bytes)} note={now.database.seconds === null ? t("does not respond") : t("{system}, reads in {seconds}", { system: now.database.system, seconds: seconds(now.database.seconds) })} />
      </SimpleGrid>
      {recent.length > 1 && (
        <SimpleGrid cols={{ base: 1, md: 2 }}>
          <Section title={t("Requests")}>
            <Chart kind="line" label={t("Requests per second over time")} height={220} x={x} y={{ name: t("Requests"), unit: t("per s") }} series={[
              { name: t("All"), points: recent.map((one) => [one.at, one.requestsPerSecond]) },
              { name: t("Failed"), points: recent.map((one) => [one.at, one.failedPerSecond]) },
            ]} />
          </Section>
          <Section title={t("Response time")}>
            <Chart kind="line" label={t("Mean response time over time")} height={220} x={x} y={{ name: t("Mean"), unit: t("ms") }} series={[{ name: t("Mean"), points: recent.map((one) => [one.at, one.meanSeconds === null ? null : one.meanSeconds * 1000]) }]} />
          </Section>
        </SimpleGrid>
      )}
      <Section title={t("Processes")} note={t("The processes that the supervisor runs on this machine.")}>
        {now.processes ? (
          <Rows
            label={t("Processes")}
            columns={[t("Process"), t("State"), t("Restarts"), t("Last exit code"), t("Started"), t("Memory"), t("Processor time")]}
            rows={now.processes.map((one) => ({
              id: one.name,
              cells: [one.name, <State key="state" value={one.state} />, one.restarts, one.exit_code, one.started_at && <Time value={one.started_at} />, measuredOr(one.memory_bytes, bytes), measuredOr(one.cpu_seconds, seconds)],
            }))}
          />
        ) : <Text size="sm" c="dimmed">{t("Not measured: no supervisor runs on this machine. Ask the system that runs the processes.")}</Text>}
      </Section>
      <Section title={t("Queues and lag")}>
        <Rows
          label={t("Queues and lag")}
          columns={[t("What"), t("Of"), t("Now")]}
          rows={now.gauges.flatMap((gauge): Row[] => {
            if (gauge.values === null) return [{ id: gauge.name, cells: [gauge.description, null, t("Not measured")] }];
            return gauge.values.map(({ label, value }) => ({ id: `${gauge.name} ${label}`, cells: [gauge.description, label && words(label.toLowerCase()), value] }));
          })}
        />
      </Section>
      <Section title={t("Thread pools")} note={t("Calls beyond the limit of a pool are refused with 503.")}>
        <Rows label={t("Thread pools")} columns={[t("Pool"), t("Running or waiting"), t("Limit"), t("Refused")]} rows={now.pools.map((pool) => ({ id: pool.name, cells: [words(pool.name), pool.held, pool.limit, pool.refused] }))} />
      </Section>
      <Section title={t("Dependencies")} note={t("Systems that the platform calls. A circuit breaker refuses calls to one that fails repeatedly.")}>
        <Rows
          label={t("Dependencies")}
          empty={t("The platform has not called another system yet.")}
          columns={[t("System"), t("Circuit breaker"), t("Calls"), t("Failed"), t("Refused"), t("Repeated")]}
          rows={now.dependencies.map((one) => ({
            id: one.name,
            cells: [one.name, <State key="breaker" color={BREAKERS[one.breaker][1]}>{BREAKERS[one.breaker][0]}</State>, one.calls, one.failures, one.refused, one.retries],
          }))}
        />
      </Section>
      <Section title={t("Storage")}>
        <Rows
          label={t("Storage")}
          columns={[t("Place"), t("Free"), t("Size"), t("Used")]}
          rows={now.volumes.map((one) => ({
            id: one.purpose,
            cells: [one.purpose, measuredOr(one.free_bytes, bytes), measuredOr(one.total_bytes, bytes), one.total_bytes && one.free_bytes !== null ? share(one.total_bytes - one.free_bytes, one.total_bytes) : t("Not measured")],
          }))}
        />
      </Section>
      <Section title={t("Slow operations")} note={t("Operations with the longest mean time since the process started.")}>
        <Loads label={t("Slow operations")} loads={slowest(now, SLOWEST)} />
      </Section>
      <Section title={t("Failed operations")} note={t("Operations that responded with a status of 500 or more.")}>
        <Loads label={t("Failed operations")} loads={failing(now)} empty={t("No operation has failed since the process started.")} />
      </Section>
      <Section title={t("Rejected requests")} note={t("Requests that were refused before an operation ran.")}>
        <Rows label={t("Rejected requests")} empty={t("No request was rejected.")} columns={[t("Reason"), t("Requests")]} rows={now.rejected.map((one) => ({ id: one.reason, cells: [words(one.reason), one.requests] }))} />
      </Section>
      <Group>
        <Text size="sm" c="dimmed">{rich("The same values are at {code} in the format of Prometheus, with a history if your Prometheus collects them.", { code: <code>/metrics</code> })}</Text>
      </Group>
    </>
  );
}

function Loads({ label, loads, empty }: { label: string; loads: ReturnType<typeof slowest>; empty?: string }) {
  return (
    <Rows
      label={label}
      empty={empty ?? t("There were no requests yet.")}
      columns={[t("Operation"), t("Requests"), t("Mean"), t("95% faster than"), t("Refused"), t("Failed")]}
      rows={loads.map((load) => ({
        id: `${load.service} ${load.operation}`,
        cells: [<code key="operation">{load.operation}</code>, load.requests, seconds(mean(load)), load.p95_seconds === null ? t("Not measured") : seconds(load.p95_seconds), share(load.refused, load.requests), load.failed],
      }))}
    />
  );
}

function measuredOr(value: number | null, text: (value: number) => string): string {
  return value === null ? t("Not measured") : text(value);
}

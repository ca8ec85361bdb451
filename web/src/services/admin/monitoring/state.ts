// The state of the platform, and the samples of it that the browser keeps while the console is open.

import { type QueryClient, queryOptions } from "@tanstack/react-query";
import { get } from "../../../api/http";
import { t } from "../../../language/text";

export interface PlatformState {
  measured_at: string;
  started_at: string;
  processes: { name: string; state: string; restarts: number; exit_code: number | null; started_at: string | null; memory_bytes: number | null; cpu_seconds: number | null }[] | null;
  in_flight: number;
  operations: OperationLoad[];
  rejected: { reason: string; requests: number }[];
  pools: { name: string; held: number; limit: number; refused: number }[];
  dependencies: { name: string; breaker: "CLOSED" | "OPEN" | "HALF_OPEN"; calls: number; failures: number; refused: number; retries: number }[];
  gauges: { name: string; description: string; values: { label: string; value: number }[] | null }[];
  database: { system: string; bytes: number | null; seconds: number | null };
  volumes: { purpose: string; total_bytes: number | null; free_bytes: number | null }[];
}

export interface OperationLoad {
  service: string;
  operation: string;
  requests: number;
  refused: number;
  failed: number;
  seconds: number;
  p95_seconds: number | null;
}

export const SAMPLE_SECONDS = 5;
const KEPT = 720;

/** The samples since the page was first opened, oldest first. */
export const samples = (client: QueryClient) =>
  queryOptions({
    queryKey: ["monitoring"],
    queryFn: async ({ signal }): Promise<PlatformState[]> => {
      const now = await get<PlatformState>("/api/v1/admin/monitoring/platform", { signal });
      return [...(client.getQueryData<PlatformState[]>(["monitoring"]) ?? []), now].slice(-KEPT);
    },
    refetchInterval: SAMPLE_SECONDS * 1000,
    structuralSharing: false,
    retry: false,
    gcTime: 3_600_000,
  });

export interface Rates {
  at: string;
  requestsPerSecond: number;
  failedPerSecond: number;
  /** Null if there was no request. */
  meanSeconds: number | null;
}

/** What happened between samples. Between two processes, or across a restart, nothing is known. */
export function rates(kept: PlatformState[]): Rates[] {
  return kept.slice(1).flatMap((now, number) => {
    const before = kept[number];
    const elapsed = before ? (Date.parse(now.measured_at) - Date.parse(before.measured_at)) / 1000 : 0;
    if (!before || before.started_at !== now.started_at || elapsed <= 0) return [];
    const difference = (of: (load: OperationLoad) => number) => total(now, of) - total(before, of);
    const requests = difference((load) => load.requests);
    return [{
      at: now.measured_at,
      requestsPerSecond: requests / elapsed,
      failedPerSecond: difference((load) => load.failed) / elapsed,
      meanSeconds: requests ? difference((load) => load.seconds) / requests : null,
    }];
  });
}

function total(state: PlatformState, of: (load: OperationLoad) => number): number {
  return state.operations.reduce((sum, load) => sum + of(load), 0);
}

/** Free space below which a disk needs attention. */
const LEAST_FREE = 0.1;

/** What needs attention, in sentences. */
export function troubles(state: PlatformState): string[] {
  const found: string[] = [];
  for (const process of state.processes ?? []) {
    if (process.state !== "READY") found.push(t("The process {name} is {state}.", { name: process.name, state: process.state.toLowerCase() }));
    else if (process.restarts) found.push(t("The process {name} restarted {restarts, plural, one {once} other {{restarts} times}}. Its last exit code is {exit_code}.", { name: process.name, restarts: process.restarts, exit_code: process.exit_code }));
  }
  for (const one of state.dependencies) {
    if (one.breaker !== "CLOSED") found.push(t("{name} failed several times, so calls to it are refused for a moment.", { name: one.name }));
  }
  for (const pool of state.pools) {
    if (pool.refused) found.push(t("The queue of {name} was full {refused} times.", { name: pool.name, refused: pool.refused }));
  }
  for (const gauge of state.gauges) {
    if (gauge.values === null) found.push(t("{name} can't be measured. The log of the API says why.", { name: gauge.name }));
    if (gauge.name === DEAD_LETTERS) {
      for (const { label, value } of gauge.values ?? []) if (value) found.push(t("{value} events for {label} were given up after all attempts.", { value, label }));
    }
  }
  if (state.database.seconds === null) found.push(t("The metadata database does not respond."));
  for (const { purpose, total_bytes, free_bytes } of state.volumes) {
    if (total_bytes && free_bytes !== null && free_bytes / total_bytes < LEAST_FREE) found.push(t("{purpose}: less than {LEAST_FREE}% of the disk is free.", { purpose, LEAST_FREE: LEAST_FREE * 100 }));
  }
  return found;
}

const DEAD_LETTERS = "headwater_outbox_dead_letters";

/** The operations that took longest on average, and those that failed. */
export function slowest(state: PlatformState, count: number): OperationLoad[] {
  return state.operations.filter((load) => load.service !== "" && load.seconds > 0).sort((one, other) => mean(other) - mean(one)).slice(0, count);
}

export function mean(load: OperationLoad): number {
  return load.requests ? load.seconds / load.requests : 0;
}

export function failing(state: PlatformState): OperationLoad[] {
  return state.operations.filter((load) => load.failed > 0).sort((one, other) => other.failed - one.failed);
}

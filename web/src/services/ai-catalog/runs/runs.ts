// Runs of assets: what the platform tells of them, and how pages name it.

import { queryOptions } from "@tanstack/react-query";
import { get } from "../../../api/http";
import { t } from "../../../language/text";

export interface Run {
  id: string;
  state: string;
  job: string;
  assets: string[];
  origin: string;
  started_by: string | null;
  operation: string | null;
  pipeline_id: string | null;
  retry_of: string | null;
  partition: string | null;
  backfill: string | null;
  steps_done: number;
  steps_total: number;
  created_at: string | null;
  started_at: string | null;
  ended_at: string | null;
  error: string | null;
  cancelable: boolean;
  retriable: boolean;
}

export interface Step {
  name: string;
  assets: string[];
  state: string;
  attempts: number;
  error: string | null;
  started_at: string | null;
  ended_at: string | null;
}

export interface Graph {
  nodes: { asset: string; produced: boolean; state: string | null; version: string | null }[];
  edges: { input: string; output: string; input_version: string | null }[];
  hidden: number;
}

export interface RunsSearch {
  state?: string;
  origin?: string;
  asset?: string;
  project?: string;
  by?: string;
  since?: string;
}

export interface RunsPage {
  items: Run[];
  next_page_token: string | null;
}

export const RUNS = "/api/v1/ai-catalog/asset-runs";
export const STATES = ["QUEUED", "STARTING", "RUNNING", "CANCELING", "SUCCEEDED", "FAILED", "CANCELED"];
export const ORIGINS: Record<string, string> = {
  SCHEDULE: t("Schedule"),
  SENSOR: t("Sensor"),
  CONDITION: t("Automation condition"),
  API: t("Request"),
  DAGSTER: t("Dagster"),
};
export const SINCE: Record<string, number> = { "1h": 3_600_000, "24h": 86_400_000, "7d": 604_800_000, "30d": 2_592_000_000 };

const FINAL = ["SUCCEEDED", "FAILED", "CANCELED"];

export function isFinal(state: string): boolean {
  return FINAL.includes(state);
}

/** What a run works on, in a few words. */
export function target(run: Pick<Run, "assets" | "job">): string {
  const [first, ...others] = run.assets;
  if (!first) return run.job;
  return others.length ? t("{first} and {count} more", { first, count: others.length }) : first;
}

/** Who or what started a run. */
export function starter(run: Pick<Run, "origin" | "started_by">): string {
  const origin = ORIGINS[run.origin] ?? run.origin;
  if (run.origin === "API") return run.started_by ?? origin;
  return run.started_by ? `${origin}: ${run.started_by.replace(/^(schedule|sensor):/, "")}` : origin;
}

/** The query parameters of a page of runs. */
export function parameters(search: RunsSearch & { pipeline?: string }, now: number): Record<string, string | undefined> {
  const age = search.since ? SINCE[search.since] : undefined;
  return {
    state: search.state,
    origin: search.origin,
    asset: search.asset,
    project: search.project,
    pipeline: search.pipeline,
    filter: search.by ? `started_by == ${JSON.stringify(search.by)}` : undefined,
    created_after: age ? new Date(now - age).toISOString() : undefined,
  };
}

/** Runs that are not in the list yet, and the list with the present states of its runs. No run changes its place. */
export function merged(shown: Run[], newest: Run[]): { runs: Run[]; added: number } {
  const present = new Map(newest.map((run) => [run.id, run]));
  const known = new Set(shown.map((run) => run.id));
  return { runs: shown.map((run) => present.get(run.id) ?? run), added: newest.filter((run) => !known.has(run.id)).length };
}

/** The step that explains why a run failed: the first one that failed by itself. */
export function failedStep(steps: Step[]): Step | undefined {
  return steps.find((step) => step.state === "FAILED");
}

/** Why a run failed, in one sentence. */
export function reason(run: Run, steps: Step[]): string | null {
  if (run.state !== "FAILED") return null;
  const step = failedStep(steps);
  const text = step?.error ?? run.error;
  if (!text) return step ? t("The step {name} failed.", { name: step.name }) : t("The run failed before a step could.");
  return step ? `${step.name}: ${text.replace(`${step.name}: `, "")}` : text;
}

export const run = (id: string) =>
  queryOptions({
    queryKey: ["asset-run", id],
    queryFn: ({ signal }) => get<Run>(`${RUNS}/${encodeURIComponent(id)}`, { signal }),
    refetchInterval: ({ state }) => (state.data && isFinal(state.data.state) ? false : 2_000),
    retry: false,
  });

export const steps = (id: string, ended: boolean) =>
  queryOptions({
    queryKey: ["asset-run", id, "steps", ended],
    queryFn: ({ signal }) => get<{ steps: Step[]; hidden: number }>(`${RUNS}/${encodeURIComponent(id)}/steps`, { signal }),
    refetchInterval: ended ? false : 1_500,
    placeholderData: (before) => before,
    retry: false,
  });

export const graph = (id: string, ended: boolean) =>
  queryOptions({
    queryKey: ["asset-run", id, "graph", ended],
    queryFn: ({ signal }) => get<Graph>(`${RUNS}/${encodeURIComponent(id)}/graph`, { signal }),
    refetchInterval: ended ? false : 3_000,
    placeholderData: (before) => before,
    retry: false,
  });

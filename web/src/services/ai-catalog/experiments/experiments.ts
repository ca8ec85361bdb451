// Experiments, their runs, and the values of metrics over steps.

import { queryOptions } from "@tanstack/react-query";
import { get, send } from "../../../api/http";
import type { ComparedValue } from "../models/ComparedTable";
import type { Measured, Run, RunInput } from "../models/models";

const API = "/api/v1/ai-catalog";

export interface Experiment extends Record<string, unknown> {
  id: string;
  name: string;
  project_id: string;
  updated_at: string;
  created_by: string;
  spec: { title: string; description: string; tags: Record<string, string> };
}

export interface Summary {
  runs: Record<string, number>;
  metrics: { key: string; lowest: Measured; highest: Measured; runs: number }[];
  params: string[];
  last_started_at: string | null;
}

export interface RunComparison {
  runs: string[];
  params: ComparedValue[];
  metrics: ComparedValue[];
  inputs: RunInput[][];
}

export interface RunPage {
  items: Run[];
  next_page_token: string | null;
}

/** The most points of one line. A chart is seldom wider in pixels. */
const POINTS = 600;

export const experiment = (id: string) =>
  queryOptions({
    queryKey: ["item", "ai-catalog", "experiments", id],
    queryFn: ({ signal }) => send<Experiment>("GET", `${API}/experiments/${encodeURIComponent(id)}`, { signal }),
    retry: false,
  });

export const summary = (id: string) =>
  queryOptions({
    queryKey: ["experiment-summary", id],
    queryFn: ({ signal }) => get<Summary>(`${API}/experiments/${encodeURIComponent(id)}/summary`, { signal }),
    retry: false,
  });

export const run = (id: string) =>
  queryOptions({
    queryKey: ["item", "ai-catalog", "runs", id],
    queryFn: ({ signal }) => send<Run>("GET", `${API}/runs/${encodeURIComponent(id)}`, { signal }),
    retry: false,
  });

export const comparison = (ids: string[]) =>
  queryOptions({
    queryKey: ["run-comparison", ids],
    queryFn: async ({ signal }) => (await send<RunComparison>("POST", `${API}/runs:compare`, { body: { runs: ids }, signal })).body,
    enabled: ids.length > 1,
    retry: false,
  });

export interface Sample {
  key: string;
  points: { step: number; at: string; value: Measured }[];
}

/** Values of a metric of a run, few enough to draw. The platform chooses them evenly over the steps. */
export const sample = (id: string, key: string) =>
  queryOptions({
    queryKey: ["metric-sample", id, key],
    queryFn: ({ signal }) => get<Sample>(`${API}/runs/${encodeURIComponent(id)}/metric-sample`, { query: { key, points: POINTS }, signal }),
    enabled: key !== "",
    retry: false,
  });

/** Points of a line: values that aren't finite are gaps. */
export function line(points: Sample["points"]): [number, number | null][] {
  return points.map((one) => [one.step, typeof one.value === "number" ? one.value : null]);
}

/** The name of a run, with a part of its id if other runs have the same name. */
export function nameOf(one: Pick<Run, "id" | "name">, others: Pick<Run, "id" | "name">[]): string {
  return others.some((other) => other.name === one.name && other.id !== one.id) ? `${one.name} (${one.id.slice(-4)})` : one.name;
}

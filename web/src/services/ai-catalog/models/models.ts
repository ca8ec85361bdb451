// Registered models, their versions, and what their runs measured.

import { queryOptions } from "@tanstack/react-query";
import { get, send } from "../../../api/http";

const API = "/api/v1/ai-catalog";

export interface RegisteredModel extends Record<string, unknown> {
  id: string;
  name: string;
  owner: string;
  project_id: string;
  updated_at: string;
  spec: {
    title: string;
    description: string;
    policy: { stages: string[]; approvals: number; self_approval: boolean; protected_aliases: string[] };
    required_evaluations: string[];
  };
  status: { aliases: Record<string, number> };
}

export interface ModelVersion extends Record<string, unknown> {
  id: string;
  registered_model_id: string;
  version: number;
  stage: string;
  run_id: string | null;
  checks: Record<string, boolean>;
  description: string;
  digest: string;
  source: string;
  tags: Record<string, string>;
  created_at: string;
  created_by: string;
}

export type Measured = number | "NaN" | "Infinity" | "-Infinity";

export interface Run {
  id: string;
  experiment_id: string;
  name: string;
  status: string;
  source: "PLATFORM" | "EXTERNAL";
  started_at: string;
  ended_at: string | null;
  created_by: string;
  params: Record<string, string>;
  metrics: Record<string, { value: Measured; step: number; at: string }>;
  tags: Record<string, string>;
  inputs: RunInput[];
}

export interface RunInput {
  name: string;
  digest: string;
  asset: string | null;
  version: string | null;
  source_type: string;
}

export interface StageRequest extends Record<string, unknown> {
  id: string;
  model_version_id: string;
  version: number;
  stage: string;
  from_stage: string;
  state: "OPEN" | "APPROVED" | "REJECTED" | "CANCELED";
  approvals: number;
  comment: string;
  requested_by: string;
  requested_at: string;
  decisions: { decided_by: string; decision: string; comment: string; decided_at: string }[];
}

interface Page<T> {
  items: T[];
  next_page_token: string | null;
}

export const registeredModel = (id: string) =>
  queryOptions({
    queryKey: ["item", "ai-catalog", "registered-models", id],
    queryFn: ({ signal }) => send<RegisteredModel>("GET", `${API}/registered-models/${encodeURIComponent(id)}`, { signal }),
    retry: false,
  });

/** Versions of a model, or of all models, newest first. */
export const versionsOf = (model: string | null) =>
  queryOptions({
    queryKey: ["items", "ai-catalog", "model-versions", model],
    queryFn: ({ signal }) => {
      const filter = model ? `registered_model_id == ${JSON.stringify(model)}` : "";
      return get<Page<ModelVersion>>(`${API}/model-versions`, { query: { filter, page_size: 1000 }, signal });
    },
    retry: false,
  });

/** Runs by id. Those that the caller can't see are left out. */
export const runs = (ids: string[]) =>
  queryOptions({
    queryKey: ["runs", ids],
    queryFn: async ({ signal }) => {
      const filter = `attributes.run_id IN (${ids.map((id) => `'${id}'`).join(", ")})`;
      const page = await send<Page<Run>>("POST", `${API}/runs:search`, { body: { filter, page_size: Math.max(1, ids.length) }, signal });
      return new Map(page.body.items.map((run) => [run.id, run]));
    },
    enabled: ids.length > 0,
    retry: false,
  });

export const stageRequests = (model: string) =>
  queryOptions({
    queryKey: ["items", "ai-catalog", "stage-requests", model],
    queryFn: ({ signal }) => get<Page<StageRequest>>(`${API}/stage-requests`, { query: { filter: `registered_model_id == ${JSON.stringify(model)}`, page_size: 100 }, signal }),
    retry: false,
  });

/** The version that is in use: that of the alias `champion`, else of any alias, else the newest. */
export function leading(model: RegisteredModel, versions: ModelVersion[]): ModelVersion | undefined {
  const own = versions.filter((one) => one.registered_model_id === model.id);
  const { aliases } = model.status;
  const number = aliases.champion ?? Object.values(aliases).sort((one, other) => other - one)[0];
  return own.find((one) => one.version === number) ?? own.sort((one, other) => other.version - one.version)[0];
}

export function aliasesOf(model: RegisteredModel, version: number): string[] {
  return Object.entries(model.status.aliases).filter(([, number]) => number === version).map(([name]) => name).sort();
}

/** The model asset that the version is, if the platform trained it. */
export function assetOf(version: ModelVersion): { asset: string; dataVersion: string } | null {
  const { "headwater.asset": asset, "headwater.version": dataVersion } = version.tags;
  return asset && dataVersion ? { asset, dataVersion } : null;
}

export interface Figure {
  key: string;
  value: Measured;
  /** The same metric of the baseline that the model must beat. */
  baseline?: Measured;
}

const BASELINE = "baseline_";

/** The metrics of a run, with those of its baseline beside them. Metrics that have a baseline come first. */
export function figures(metrics: Run["metrics"]): Figure[] {
  return Object.entries(metrics)
    .filter(([key]) => !key.startsWith(BASELINE))
    .map(([key, { value }]) => ({ key, value, baseline: metrics[BASELINE + key]?.value }))
    .sort((one, other) => Number(other.baseline !== undefined) - Number(one.baseline !== undefined) || one.key.localeCompare(other.key));
}

/** A measured number, short enough to compare. */
export function short(value: Measured | undefined): string {
  if (value === undefined) return "–";
  if (typeof value === "string") return value;
  if (Number.isInteger(value)) return value.toLocaleString();
  return Math.abs(value) >= 0.001 && Math.abs(value) < 100_000 ? Number(value.toPrecision(4)).toString() : value.toExponential(2);
}

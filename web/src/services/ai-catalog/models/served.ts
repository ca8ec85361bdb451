// The versions of a model asset that serve predictions, and what a prediction answers.

import { queryOptions } from "@tanstack/react-query";
import { get, Problem, send } from "../../../api/http";
import { t } from "../../../language/text";

export interface ModelInput {
  name: string;
  minimum: number | null;
  maximum: number | null;
  median: number | null;
  missing_share: number;
}

export interface ServedVersion {
  version: number;
  data_version: string;
  inputs: ModelInput[];
  entity_table: string;
  entity_key: string[];
  features_version: string;
  target: string;
  threshold: number;
}

export interface Predictions {
  model: string;
  model_data_version: string;
  target: string;
  threshold: number;
  features_table: string;
  features_data_version: string | null;
  explanation: { description?: string } | null;
  predictions: {
    probability: number;
    label: boolean;
    key: Record<string, string> | null;
    missing: string[];
    out_of_range: string[];
    contributions: { feature: string; value: number | null; median: number | null; contribution: number }[] | null;
  }[];
}

const path = (asset: string) => `/api/v1/ai-system/models/${encodeURIComponent(asset)}`;
const MAX_PAGES = 20;

/** A version of a model asset with its inputs. */
export const served = (asset: string, dataVersion: string) =>
  queryOptions({
    queryKey: ["served", asset, dataVersion],
    queryFn: async ({ signal }) => {
      let token: string | null = "";
      for (let page = 0; token !== null && page < MAX_PAGES; page++) {
        const found: { items: ServedVersion[]; next_page_token: string | null } = await get(`${path(asset)}/versions`, { query: { page_size: 100, page_token: token }, signal });
        const version = found.items.find((one) => one.data_version === dataVersion);
        if (version) return version;
        token = found.next_page_token;
      }
      throw new Problem(404, { detail: t("The version {dataVersion} of {asset} no longer serves predictions.", { dataVersion, asset }) }, "");
    },
    staleTime: Number.POSITIVE_INFINITY,
    retry: false,
  });

export type Instance = Record<string, string | number>;

export async function predict(asset: string, version: string, instance: Instance, explain: boolean): Promise<Predictions> {
  return (await send<Predictions>("POST", `${path(asset)}:predict`, { body: { instances: [instance], version, explain } })).body;
}

/** The key of any entity of the table. */
export async function anyKey(version: ServedVersion): Promise<Instance | null> {
  const preview = `/api/v1/ai-catalog/assets/${encodeURIComponent(version.entity_table)}/preview`;
  const columns = version.entity_key.map((name) => `columns=${encodeURIComponent(name)}`).join("&");
  const { row_count: count } = await get<{ row_count: number }>(`${preview}?${columns}`, { query: undefined });
  if (!count) return null;
  const offset = Math.floor(Math.random() * count);
  const { rows } = await get<{ rows: Instance[] }>(`${preview}?${columns}&page_size=1&offset=${offset}`);
  return rows[0] ?? null;
}

/** What the range of a training says about an input, in one line. */
export function rangeOf(input: ModelInput): string {
  if (input.minimum === null || input.maximum === null) return "";
  const number = (value: number | null) => (value === null ? "–" : Number(value.toPrecision(4)).toLocaleString());
  return t("{minimum} to {maximum}, median {median}", { minimum: number(input.minimum), maximum: number(input.maximum), median: number(input.median) });
}

/** The instance that an address holds. An address that can't be read holds none. */
export function instanceOf(text: string | undefined): Instance {
  try {
    const value: unknown = JSON.parse(text ?? "{}");
    if (typeof value !== "object" || value === null) return {};
    return Object.fromEntries(Object.entries(value).filter(([, one]) => typeof one === "string" || typeof one === "number"));
  } catch {
    return {};
  }
}

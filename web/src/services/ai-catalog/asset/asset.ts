// An asset as the API describes it, and the requests for its parts.

import { queryOptions } from "@tanstack/react-query";
import { get, type Options } from "../../../api/http";
import type { Asset as AssetDetail, Check, CheckStatus, Reported as ReportedValue } from "../../../api/generated/ai-catalog";

export type { Check, CheckStatus, AssetDetail, ReportedValue };

const ROOT = "/api/v1/ai-catalog/assets";

export function assetPath(id: string, part = ""): string {
  return `${ROOT}/${encodeURIComponent(id)}${part}`;
}

/** The link to the page of an asset. */
export function assetPage(id: string): string {
  return `/ai-catalog/assets/${encodeURIComponent(id)}`;
}

export const assetQuery = (id: string) =>
  queryOptions({
    queryKey: ["item", "ai-catalog", "assets", id],
    queryFn: ({ signal }) => get<AssetDetail>(assetPath(id), { signal }),
    refetchInterval: (query) => (query.state.data?.runs_in_progress.length ? 2_000 : 60_000),
    retry: false,
  });

/** A part of an asset. A part of a version never changes. */
export const partQuery = <T>(id: string, part: string, query: Options["query"] = {}, enabled = true) =>
  queryOptions({
    queryKey: ["asset part", id, part, query],
    queryFn: ({ signal }) => get<T>(assetPath(id, `/${part}`), { query, signal }),
    retry: false,
    enabled,
  });

/** The parts of an id: `flights.gold.delays` is in the layer `gold` of the project `flights`. */
export function namesOf(id: string): { project: string; layer: string; name: string } {
  const [project = "", layer = "", ...rest] = id.split(".");
  return { project, layer, name: rest.join(".") || id };
}

/** The number of a table version: that of `a1b2@12` is 12. */
export function versionNumber(dataVersion: string | null): string {
  return dataVersion?.split("@").at(-1) ?? "";
}

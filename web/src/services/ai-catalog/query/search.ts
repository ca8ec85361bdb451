// The state of the page in its address.

import type { ChartForm as Form, QueryChart as ChartChoice } from "../../../api/generated/ai-catalog";
import { fitting, FORMS } from "./statement";
import type { QuerySearch } from "./QueryPage";

const text = (value: unknown): string => (typeof value === "string" ? value : "");

export function querySearch(search: Record<string, unknown>): QuerySearch {
  const limit = Number(search.limit);
  return {
    sql: text(search.sql) || undefined,
    saved: text(search.saved) || undefined,
    limit: Number.isInteger(limit) && limit >= 1 && limit <= 100_000 ? limit : undefined,
    versions: versionsOf(search.versions),
    chart: chartOf(search.chart),
    view: search.view === "chart" || search.view === "table" ? search.view : undefined,
  };
}

function versionsOf(value: unknown): Record<string, string> | undefined {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
  return Object.fromEntries(Object.entries(value).map(([asset, version]) => [asset, String(version)]));
}

function chartOf(value: unknown): ChartChoice | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const { form, x, y, series, value: color } = value as Record<string, unknown>;
  if (typeof form !== "string" || !(form in FORMS) || !Array.isArray(y)) return undefined;
  return fitting({ form: form as Form, x: text(x), y: y.map(text).filter(Boolean), series: text(series), value: text(color) });
}

// A statement, its result, and how the result is drawn.

import type { ChartForm, QueryChart as ChartChoice, QueryResult as Result } from "../../../api/generated/ai-catalog";
import { file, send } from "../../../api/http";
import { t } from "../../../language/text";
import type { Axis, ChartKind, Coordinate, Series } from "../../../ui/Chart";

export const FORMS = { LINE: "line", BAR: "bar", SCATTER: "scatter", HEAT_MAP: "heat-map" } as const satisfies Record<ChartForm, ChartKind>;

export interface Statement {
  sql: string;
  limit: number;
  versions: Record<string, string>;
}

export interface Finished {
  result: Result;
  statement: Statement;
  milliseconds: number;
}

export async function run(statement: Statement, signal: AbortSignal): Promise<Finished> {
  const started = performance.now();
  const { body } = await send<Result>("POST", "/api/v1/ai-catalog/queries:run", { body: statement, signal });
  return { result: body, statement, milliseconds: performance.now() - started };
}

/** The rows of a result as a Parquet file, which keeps their types: of the versions that the result was read from. */
export function asParquet({ statement, result }: Finished): Promise<Blob> {
  const versions = Object.fromEntries(result.inputs.map((input) => [input.asset, input.data_version]));
  return file("POST", "/api/v1/ai-catalog/queries:run", "application/vnd.apache.parquet", { body: { ...statement, versions } });
}

/** A chart that fits the columns of a result: the first column that isn't a number, and the numbers after it. */
export function proposal({ columns, rows }: Result): ChartChoice | null {
  const numeric = columns.filter((_, place) => typeof rows.find((row) => row[place] !== null)?.[place] === "number");
  const other = columns.find((column) => !numeric.includes(column));
  const x = other ?? numeric[0];
  const y = numeric.find((column) => column !== x);
  if (!x || !y) return null;
  const ordered = /date|timestamp/.test(x.type);
  return { form: ordered ? "LINE" : other ? "BAR" : "SCATTER", x: x.name, y: [y.name], series: "", value: "" };
}

/** What is missing in a choice before it can be drawn. */
export function missing(choice: ChartChoice, columns: string[]): string | null {
  const chosen = [choice.x, ...choice.y, ...(choice.series ? [choice.series] : []), ...(choice.value ? [choice.value] : [])];
  if (!choice.x || !choice.y.length) return t("Choose a column for each axis.");
  if (choice.form === "HEAT_MAP" && !choice.value) return t("Choose the column whose numbers become colors.");
  const gone = chosen.filter((name) => !columns.includes(name));
  return gone.length ? t("The result has no column {gone}.", { gone: gone.join(", ") }) : null;
}

/** The same choice, without what its form can't have. */
export function fitting(choice: ChartChoice): ChartChoice {
  const heat = choice.form === "HEAT_MAP";
  const one = heat || choice.series !== "";
  return { ...choice, y: one ? choice.y.slice(0, 1) : choice.y, series: heat ? "" : choice.series, value: heat ? choice.value : "" };
}

export interface Drawn {
  kind: ChartKind;
  label: string;
  x: Axis;
  y: Axis;
  value?: Axis;
  series: Series[];
}

export function drawn(choice: ChartChoice, { columns, rows }: Result): Drawn {
  const place = (name: string) => columns.findIndex((column) => column.name === name);
  const coordinate = (value: unknown): Coordinate => (typeof value === "number" || value === null ? value : typeof value === "string" ? value : String(value));
  const x = place(choice.x);
  const series: Series[] = [];
  if (choice.form === "HEAT_MAP") {
    const places = [x, place(choice.y[0] ?? ""), place(choice.value)];
    series.push({ name: choice.value, points: rows.map((row) => places.map((one) => coordinate(row[one]))) });
  } else if (choice.series) {
    const [by, y] = [place(choice.series), place(choice.y[0] ?? "")];
    const groups = new Map<string, Coordinate[][]>();
    for (const row of rows) {
      const name = String(row[by] ?? "null");
      const points = groups.get(name) ?? [];
      points.push([coordinate(row[x]), coordinate(row[y])]);
      groups.set(name, points);
    }
    for (const [name, points] of groups) series.push({ name, points });
  } else {
    for (const name of choice.y) series.push({ name, points: rows.map((row) => [coordinate(row[x]), coordinate(row[place(name)])]) });
  }
  const y = choice.y.join(", ");
  const value = choice.form === "HEAT_MAP" ? { name: choice.value } : undefined;
  const label = t("{value} by {x}{value2}", { value: value ? choice.value : y, x: choice.x, value2: value ? t(" and {y}", { y }) : "" });
  return { kind: FORMS[choice.form], label, x: { name: choice.x }, y: { name: y }, value, series };
}

// What ECharts draws, from a description in the terms of the data.

import type { EChartsCoreOption } from "echarts/core";

export const CHART_KINDS = ["line", "bar", "scatter", "heat-map"] as const;
export type ChartKind = (typeof CHART_KINDS)[number];

export interface Axis {
  name: string;
  unit?: string;
}

export type Coordinate = string | number | null;

export interface Series {
  name: string;
  /** Pairs of x and y. For a heat map, triples of x, y, and value. */
  points: Coordinate[][];
}

export interface Drawn {
  kind: ChartKind;
  x: Axis;
  y: Axis;
  /** What the colors of a heat map mean. */
  value?: Axis;
  series: Series[];
}

/** Colors of the present theme. */
export interface Palette {
  text: string;
  dimmed: string;
  line: string;
  background: string;
  faint: string;
  series: string[];
}

const DATE = /^\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?)?$/;

export function axisTitle({ name, unit }: Axis): string {
  return unit ? `${name} (${unit})` : name;
}

/** Whether values are numbers, times, or names. */
export function axisType(values: Coordinate[]): "value" | "time" | "category" {
  const present = values.filter((one) => one !== null);
  if (!present.length) return "category";
  if (present.every((one) => typeof one === "number")) return "value";
  return present.every((one) => typeof one === "string" && DATE.test(one)) ? "time" : "category";
}

/** The different values, in the order in which they occur. */
function distinct(values: Coordinate[]): string[] {
  return [...new Set(values.map(String))];
}

export function options({ kind, x, y, value, series }: Drawn, palette: Palette): EChartsCoreOption {
  const at = (place: number) => series.flatMap((one) => one.points.map((point) => point[place] ?? null));
  const heat = kind === "heat-map";
  const named = kind === "bar" || heat;
  const kindOfX = axisType(at(0));
  // Bars stand at names. Bars at times or numbers would be thin lines.
  const typeOfX = named ? "category" : kindOfX;
  const base = {
    nameLocation: "middle",
    nameTextStyle: { color: palette.dimmed },
    axisLabel: { color: palette.dimmed, hideOverlap: true },
    axisLine: { lineStyle: { color: palette.line } },
    splitLine: { lineStyle: { color: palette.line } },
  };
  const text = (one: unknown) => (typeof one === "number" ? one.toLocaleString(undefined, { maximumSignificantDigits: 6 }) : String(one ?? "none"));
  const values = heat ? at(2).filter((one): one is number => typeof one === "number") : [];
  return {
    animation: false,
    color: palette.series,
    textStyle: { color: palette.text, fontFamily: "inherit" },
    grid: { left: 8, right: 16, top: series.length > 1 ? 40 : 16, bottom: heat ? 56 : 24 },
    legend: series.length > 1 ? { type: "scroll", top: 0, textStyle: { color: palette.text }, pageTextStyle: { color: palette.text } } : undefined,
    tooltip: {
      trigger: kind === "line" || kind === "bar" ? "axis" : "item",
      confine: true,
      backgroundColor: palette.background,
      borderColor: palette.line,
      textStyle: { color: palette.text },
      // What a table contains is text, and never HTML.
      renderMode: "richText",
      valueFormatter: (one: unknown) => `${text(one)}${y.unit && !heat ? ` ${y.unit}` : ""}`,
    },
    xAxis: { ...base, type: typeOfX, data: typeOfX === "category" ? distinct(at(0)) : undefined, name: axisTitle(x), nameGap: 28, scale: true },
    yAxis: { ...base, type: heat ? "category" : "value", data: heat ? distinct(at(1)) : undefined, name: axisTitle(y), nameGap: 48, scale: kind !== "bar" },
    visualMap: heat
      ? {
          min: values.length ? values.reduce((least, one) => Math.min(least, one)) : 0,
          max: values.length ? values.reduce((most, one) => Math.max(most, one)) : 1,
          orient: "horizontal",
          left: "center",
          bottom: 0,
          itemHeight: 120,
          text: [value ? axisTitle(value) : "", ""],
          textStyle: { color: palette.text },
          inRange: { color: [palette.faint, palette.series[0]] },
        }
      : undefined,
    dataZoom: kind === "line" || kind === "scatter" ? [{ type: "inside", zoomOnMouseWheel: "ctrl", moveOnMouseMove: false }] : undefined,
    series: series.map((one) => ({
      name: one.name,
      type: heat ? "heatmap" : kind,
      data: named ? one.points.map(([first, second, third]) => [String(first), heat ? String(second) : (second ?? null), ...(heat ? [third ?? null] : [])]) : one.points,
      showSymbol: one.points.length <= 50,
      symbolSize: kind === "scatter" ? 7 : 5,
      sampling: kind === "line" ? "lttb" : undefined,
      large: kind === "scatter",
      barMaxWidth: 48,
    })),
  };
}

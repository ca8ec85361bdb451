import { expect, it } from "vitest";
import { axisType, type Drawn, options } from "./options";

const PALETTE = { text: "#000", dimmed: "#333", line: "#ccc", background: "#fff", faint: "#eee", series: ["#0a0", "#00a"] };

function drawn(changed: Partial<Drawn>): Record<string, never> {
  const base: Drawn = { kind: "line", x: { name: "Step" }, y: { name: "Loss", unit: "%" }, series: [{ name: "one", points: [[0, 1], [1, null]] }] };
  return options({ ...base, ...changed }, PALETTE) as Record<string, never>;
}

it("finds out whether an axis shows numbers, times, or names", () => {
  expect(axisType([1, null, 2.5])).toBe("value");
  expect(axisType(["2026-01-02", "2026-01-03T04:05:06Z"])).toBe("time");
  expect(axisType(["2026-01-02", "LHR"])).toBe("category");
  expect(axisType([null])).toBe("category");
});

it("names the units, and keeps gaps", () => {
  const made = drawn({}) as any;
  expect(made.yAxis.name).toBe("Loss (%)");
  expect(made.series[0].data).toEqual([[0, 1], [1, null]]);
  expect(made.legend).toBeUndefined();
});

it("draws bars at names, also if the names are numbers", () => {
  const made = drawn({ kind: "bar", series: [{ name: "one", points: [[2013, 5], [2014, 6]] }, { name: "two", points: [[2014, 1]] }] }) as any;
  expect(made.xAxis).toMatchObject({ type: "category", data: ["2013", "2014"] });
  expect(made.series[1].data).toEqual([["2014", 1]]);
  expect(made.legend.type).toBe("scroll");
});

it("scales the colors of a heat map to its values", () => {
  const made = drawn({ kind: "heat-map", value: { name: "Flights" }, series: [{ name: "", points: [["Mon", "JFK", 3], ["Tue", "JFK", 9]] }] }) as any;
  expect(made.visualMap).toMatchObject({ min: 3, max: 9, text: ["Flights", ""] });
  expect(made.yAxis.data).toEqual(["JFK"]);
});

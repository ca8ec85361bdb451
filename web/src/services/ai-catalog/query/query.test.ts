import type { QueryChart as ChartChoice, QueryResult as Result } from "../../../api/generated/ai-catalog";
import { expect, it } from "vitest";
import { csv } from "./csv";
import { placeOf } from "./position";
import { drawn, fitting, missing, proposal } from "./statement";

const RESULT: Result = {
  columns: [{ name: "carrier", type: "string" }, { name: "late", type: "double" }, { name: "flights", type: "int64" }],
  rows: [["UA", 0.3, 10], ["B6", null, 20], ["UA", 0.1, 5]],
  truncated: false,
  inputs: [],
};
const CHOICE: ChartChoice = { form: "BAR", x: "carrier", y: ["late"], series: "", value: "" };

it("finds the line and column that an error names", () => {
  expect(placeOf("It is not valid. (line 2, column 8)", "SELECT 1,\n       nothing FROM x")).toEqual({ from: 17, to: 24, line: 2 });
  expect(placeOf("It ends too early. (line 9, column 1)", "SELECT")).toBeNull();
});

it("finds the name that an error is about", () => {
  expect(placeOf("The query uses a column that does not exist: late. It has, for example, lately.", "SELECT lately,\nLATE FROM x")).toEqual({ from: 15, to: 19, line: 2 });
  expect(placeOf("The statement was ended.", "SELECT 1")).toBeNull();
});

it("quotes what CSV needs quoted, and lets no spreadsheet run a formula", () => {
  expect(csv([{ name: "a" }, { name: "b" }], [['x "y"', -1], ["=1+1", null]])).toBe('a,b\r\n"x ""y""",-1\r\n\'=1+1,\r\n');
});

it("proposes a chart of names and numbers", () => {
  expect(proposal(RESULT)).toEqual(CHOICE);
  expect(proposal({ ...RESULT, columns: RESULT.columns.slice(0, 1) })).toBeNull();
});

it("draws each column, or each value of a column, as a series", () => {
  expect(drawn({ ...CHOICE, y: ["late", "flights"] }, RESULT).series).toEqual([
    { name: "late", points: [["UA", 0.3], ["B6", null], ["UA", 0.1]] },
    { name: "flights", points: [["UA", 10], ["B6", 20], ["UA", 5]] },
  ]);
  const grouped = drawn({ ...CHOICE, form: "SCATTER", x: "flights", series: "carrier" }, RESULT);
  expect(grouped.series).toEqual([{ name: "UA", points: [[10, 0.3], [5, 0.1]] }, { name: "B6", points: [[20, null]] }]);
  expect(grouped.label).toBe("late by flights");
});

it("leaves out what a form can't have, and says what it lacks", () => {
  const heat = fitting({ form: "HEAT_MAP", x: "carrier", y: ["late", "flights"], series: "carrier", value: "" });
  expect(heat).toMatchObject({ y: ["late"], series: "" });
  expect(missing(heat, ["carrier", "late"])).toContain("colors");
  expect(missing({ ...CHOICE, x: "gone" }, ["late"])).toBe("The result has no column gone.");
  expect(missing(CHOICE, ["carrier", "late"])).toBeNull();
});

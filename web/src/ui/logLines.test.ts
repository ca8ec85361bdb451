import { expect, it } from "vitest";
import { duration, span } from "./duration";
import { type LogLine, matching, rowsOf } from "./logLines";

const line = (message: string, level = "INFO", step: string | null = null): LogLine => ({ at: null, level, step, message });

it("shows all lines without a filter, and those that match one", () => {
  const lines = [line("Begin"), line("no rows", "ERROR", "a"), line("rows", "INFO", "b"), line("odd", "WARNING", "b")];
  expect(matching(lines, {})).toBeNull();
  expect(matching(lines, { level: "errors" })).toEqual([1]);
  expect(matching(lines, { level: "warnings" })).toEqual([1, 3]);
  expect(matching(lines, { step: "b" })).toEqual([2, 3]);
  expect(matching(lines, { text: "ROWS" })).toEqual([1, 2]);
  expect(matching(lines, { text: "rows" }, 2)).toEqual([2]);
});

it("gives each line of a message a row", () => {
  expect(rowsOf(line("one\ntwo\n", "ERROR")).map((row) => [row.message, row.level])).toEqual([["one", "ERROR"], ["two", "ERROR"]]);
});

it("finds one line among many", () => {
  const lines = Array.from({ length: 20_000 }, (_, number) => line(`line ${number} of a log with a usual length of its lines`));
  expect(matching(lines, { text: "line 19999" })?.length).toBe(1);
});

it("says durations in their two largest units", () => {
  expect([0, 42, 3_240, 45_000, 125_000, 3_600_000, 90_000_000].map(duration)).toEqual(["0 ms", "42 ms", "3.2 s", "45 s", "2 min 5 s", "1 h", "1 d 1 h"]);
  expect(span("2026-01-01T00:00:00Z", "2026-01-01T00:00:03Z", 0)).toBe("3.0 s");
  expect(span(null, null, 0)).toBeNull();
});

import { expect, test } from "vitest";
import { between, filtered, type PartitionState, selectedKeys, strip } from "./partitions";

const KNOWN = { keys: ["a", "b", "c", "d"], states: ["MATERIALIZED", "FAILED", "MISSING", "FAILED"] as PartitionState[] };

test("a selection names keys in their order", () => {
  expect(selectedKeys({ kind: "all" }, KNOWN)).toEqual(["a", "b", "c", "d"]);
  expect(selectedKeys({ kind: "last" }, KNOWN)).toEqual(["d"]);
  expect(selectedKeys({ kind: "failed" }, KNOWN)).toEqual(["b", "d"]);
  expect(selectedKeys({ kind: "missing" }, KNOWN)).toEqual(["c"]);
  expect(selectedKeys({ kind: "range", from: "c", to: "b" }, KNOWN)).toEqual(["b", "c"]);
  expect(selectedKeys({ kind: "range", from: "c" }, KNOWN)).toEqual([]);
  expect(selectedKeys({ kind: "range", from: "gone", to: "b" }, KNOWN)).toEqual([]);
  expect(selectedKeys({ kind: "chosen", chosen: ["b"] }, KNOWN)).toEqual(["b"]);
});

test("a range without an end goes to the end", () => {
  expect(between(KNOWN.keys)).toEqual(KNOWN.keys);
  expect(between(KNOWN.keys, "c")).toEqual(["c", "d"]);
  expect(between(KNOWN.keys, undefined, "b")).toEqual(["a", "b"]);
  expect(between(KNOWN.keys, "gone", "b")).toEqual(["a", "b"]);
  expect(between([])).toEqual([]);
});

test("a filter leaves the partitions that meet all of it", () => {
  expect(filtered(KNOWN, {}).length).toBe(4);
  expect(filtered(KNOWN, { state: "FAILED", from: "c" })).toEqual([{ key: "d", state: "FAILED" }]);
  expect(filtered(KNOWN, { text: " A" })).toEqual([{ key: "a", state: "MATERIALIZED" }]);
});

test("a part of the strip has the state that needs attention", () => {
  expect(strip(KNOWN.states, 2)).toEqual(["FAILED", "FAILED"]);
  expect(strip(["MATERIALIZED", "MISSING", "MATERIALIZED"], 10)).toEqual(["MATERIALIZED", "MISSING", "MATERIALIZED"]);
  expect(strip([], 10)).toEqual([]);
  expect(strip(Array.from({ length: 3_000 }, () => "MATERIALIZED" as PartitionState), 300).length).toBe(300);
});

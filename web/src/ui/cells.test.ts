import { expect, it } from "vitest";
import { compared, shown, widths } from "./cells";

it("shows values as text", () => {
  expect([null, true, 1.5, "a", { b: [1] }].map(shown)).toEqual(["null", "true", "1.5", "a", '{"b":[1]}']);
});

it("orders numbers by size, texts by the alphabet, and empty values last", () => {
  expect([10, null, 9].sort(compared)).toEqual([9, 10, null]);
  expect(["b", "a", "10", "9"].sort(compared)).toEqual(["10", "9", "a", "b"]);
});

it("gives a column the width of its longest text, within limits", () => {
  const [short, long] = widths([{ name: "a" }, { name: "b" }], [["x", "y".repeat(500)]]);
  expect(short).toBeLessThan(100);
  expect(long).toBe(360);
});

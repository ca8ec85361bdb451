import { expect, it } from "vitest";
import type { Asset } from "./assets";
import { chosen, edgesOf, reached } from "./graph";

const LINKS: Record<string, string[]> = { "a.x.one": [], "a.x.two": ["a.x.one"], "a.x.three": ["a.x.two"], "b.x.four": ["a.x.two", "hidden.x.y"] };
const ASSETS = new Map(
  Object.entries(LINKS).map(([id, upstream]) => {
    const downstream = Object.keys(LINKS).filter((other) => LINKS[other]?.includes(id));
    return [id, { id, upstream, downstream } as unknown as Asset];
  }),
);

it("follows links to a depth, and none to assets that the caller can't see", () => {
  expect(reached(ASSETS, "a.x.three", "upstream", 1)).toEqual(new Set(["a.x.three", "a.x.two"]));
  expect(reached(ASSETS, "b.x.four", "upstream", 9)).toEqual(new Set(["b.x.four", "a.x.two", "a.x.one"]));
});

it("shows the neighborhood of a focused asset, or what a filter leaves", () => {
  expect(chosen(ASSETS, { focus: "a.x.three", depth: 9 })).toEqual(new Set(["a.x.three", "a.x.two", "a.x.one"]));
  expect(chosen(ASSETS, { project: "b", depth: 9 })).toEqual(new Set(["b.x.four"]));
  expect(chosen(ASSETS, { text: "T", depth: 9 })).toEqual(new Set(["a.x.two", "a.x.three"]));
  expect(chosen(ASSETS, { focus: "gone", text: "one", depth: 9 })).toEqual(new Set(["a.x.one"]));
});

it("draws edges between shown assets only", () => {
  expect(edgesOf(ASSETS.values(), new Set(["a.x.two", "b.x.four"]))).toEqual([["a.x.two", "b.x.four"]]);
});

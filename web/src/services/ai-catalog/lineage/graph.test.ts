import { expect, it } from "vitest";
import type { GraphNode } from "../../../api/generated/ai-catalog";
import { chosen, facets, type Filter, graphOf, reached, shortVersion } from "./graph";
import { grouped } from "./groups";
import { depths, layers } from "./layers";

const IDS = ["a.x.one", "a.x.two", "a.y.three", "b.x.four"];
const NODES = IDS.map((id) => ({ id, kinds: id.startsWith("b") ? ["onnx"] : ["delta"], owners: ["team:a"], health: id === "a.y.three" ? "STALE" : "HEALTHY" }) as GraphNode);
const EDGE = { declared: true, version: "t@7", behind: false };
const GRAPH = graphOf({ nodes: NODES, edges: [{ ...EDGE, source: 0, target: 1 }, { ...EDGE, source: 1, target: 2, behind: true }, { ...EDGE, source: 1, target: 3 }] });
const ALL: Filter = { up: 9, down: 9, more: [] };

it("follows edges to a depth", () => {
  expect(reached(GRAPH.assets, "a.y.three", "upstream", 1)).toEqual(new Set(["a.y.three", "a.x.two"]));
  expect(reached(GRAPH.assets, "a.x.one", "downstream", 9)).toEqual(new Set(IDS));
});

it("shows the surroundings of the focus, and more where people ask for it", () => {
  expect(chosen(GRAPH, { ...ALL, focus: "a.y.three", up: 1 })).toEqual(new Set(["a.y.three", "a.x.two"]));
  expect(chosen(GRAPH, { ...ALL, focus: "a.y.three", up: 1, more: ["a.x.two"] })).toEqual(new Set(IDS));
  expect(chosen(GRAPH, { ...ALL, focus: "gone.x.y" })).toEqual(new Set(IDS));
});

it("leaves what matches all filters", () => {
  expect(chosen(GRAPH, { ...ALL, project: "b" })).toEqual(new Set(["b.x.four"]));
  expect(chosen(GRAPH, { ...ALL, state: "STALE", owner: "team:a" })).toEqual(new Set(["a.y.three"]));
  expect(chosen(GRAPH, { ...ALL, kind: "onnx", text: "ONE" })).toEqual(new Set());
  expect(facets(GRAPH)).toEqual({ projects: ["a", "b"], kinds: ["delta", "onnx"], owners: ["team:a"], states: ["HEALTHY", "STALE"] });
});

it("draws a group as one node with the number of its assets and of its edges", () => {
  const { assets, groups, links } = grouped(GRAPH, new Set(IDS), "layer", new Set(["b.x"]));
  expect(assets).toEqual(["b.x.four"]);
  expect(groups.map(({ name, size, states }) => [name, size, states])).toEqual([["a.x", 2, { HEALTHY: 2 }], ["a.y", 1, { STALE: 1 }]]);
  expect(links.map(({ source, target, count, behind }) => [source, target, count, behind])).toEqual([["group:a.x", "group:a.y", 1, true], ["group:a.x", "b.x.four", 1, false]]);
  expect(grouped(GRAPH, new Set(IDS.slice(0, 2)), "none", new Set()).links.map((link) => link.version)).toEqual(["t@7"]);
});

it("places inputs on the left of what reads them, also in a cycle", () => {
  const cycle: [string, string][] = [["1", "2"], ["2", "3"], ["3", "1"]];
  expect([...depths(["1", "2", "3"], cycle).keys()].sort()).toEqual(["1", "2", "3"]);
  const many = [...Array(1000).keys()].map(String);
  const edges = many.slice(10).map((id, number): [string, string] => [String(number % 10), id]);
  const places = layers(many, edges, 100, 50);
  expect(new Set([...places.values()].map(({ x, y }) => `${x} ${y}`)).size).toBe(1000);
  expect(edges.every(([source, target]) => (places.get(source)?.x ?? 0) < (places.get(target)?.x ?? 0))).toBe(true);
});

it("shortens a data version to the number of the table's version", () => {
  expect([shortVersion("3f2a@12"), shortVersion("sha256:abc")]).toEqual(["12", "sha256:abc"]);
});

// The graph of assets: what is upstream and downstream of an asset, and what filters leave.

import type { AssetGraph, GraphEdge, GraphNode } from "../../../api/generated/ai-catalog";

export type Direction = "upstream" | "downstream";

export interface Asset extends GraphNode {
  upstream: string[];
  downstream: string[];
}

export interface Edge extends Omit<GraphEdge, "source" | "target"> {
  source: string;
  target: string;
}

export interface Graph {
  assets: Map<string, Asset>;
  edges: Edge[];
}

export function graphOf({ nodes, edges }: Pick<AssetGraph, "nodes" | "edges">): Graph {
  const assets = new Map(nodes.map((node): [string, Asset] => [node.id, { ...node, upstream: [], downstream: [] }]));
  const named: Edge[] = [];
  for (const edge of edges) {
    const source = nodes[edge.source]?.id ?? "";
    const target = nodes[edge.target]?.id ?? "";
    assets.get(source)?.downstream.push(target);
    assets.get(target)?.upstream.push(source);
    named.push({ ...edge, source, target });
  }
  return { assets, edges: named };
}

/** The ids that are reached from an asset in one direction, with the asset itself. */
export function reached(assets: Map<string, Asset>, from: string, direction: Direction, depth: number): Set<string> {
  const found = new Set([from]);
  let level = [from];
  for (let step = 0; step < depth && level.length; step++) {
    const next = new Set<string>();
    for (const id of level) for (const far of assets.get(id)?.[direction] ?? []) if (!found.has(far)) next.add(far);
    for (const id of next) found.add(id);
    level = [...next];
  }
  return found;
}

export interface Filter {
  focus?: string;
  /** Maximum number of steps from the focus. */
  up: number;
  down: number;
  /** Assets whose direct neighbors are added to those of the focus. */
  more: string[];
  project?: string;
  kind?: string;
  owner?: string;
  state?: string;
  text?: string;
}

/** The assets that a page shows: the surroundings of the focus, or all, as far as they match the filters. */
export function chosen({ assets }: Graph, filter: Filter): Set<string> {
  const { focus, project, kind, owner, state, text } = filter;
  const wanted = text?.toLowerCase();
  const around = focus && assets.has(focus) ? surroundings(assets, focus, filter) : null;
  const ids = new Set<string>();
  for (const asset of assets.values()) {
    if (around && !around.has(asset.id)) continue;
    const matches =
      (!project || projectOf(asset.id) === project) &&
      (!kind || asset.kinds.includes(kind)) &&
      (!owner || asset.owners.includes(owner)) &&
      (!state || asset.health === state) &&
      (!wanted || asset.id.toLowerCase().includes(wanted));
    if (matches || asset.id === focus) ids.add(asset.id);
  }
  return ids;
}

function surroundings(assets: Map<string, Asset>, focus: string, { up, down, more }: Filter): Set<string> {
  const found = new Set([...reached(assets, focus, "upstream", up), ...reached(assets, focus, "downstream", down)]);
  for (const id of more) {
    const asset = assets.get(id);
    if (asset && found.has(id)) for (const near of [...asset.upstream, ...asset.downstream]) found.add(near);
  }
  return found;
}

export function projectOf(id: string): string {
  return id.split(".", 1)[0] ?? id;
}

/** The layer of an asset, with its project: `flights.silver`. */
export function layerOf(id: string): string {
  return id.split(".").slice(0, 2).join(".");
}

/** The number of a table's version in a data version, or the data version if it has another form. */
export function shortVersion(version: string): string {
  return version.split("@").at(-1) ?? version;
}

/** The values that filters offer. */
export function facets({ assets }: Graph): { projects: string[]; kinds: string[]; owners: string[]; states: string[] } {
  const all = [...assets.values()];
  const sorted = (values: string[]) => [...new Set(values)].sort();
  return {
    projects: sorted(all.map((asset) => projectOf(asset.id))),
    kinds: sorted(all.flatMap((asset) => asset.kinds)),
    owners: sorted(all.flatMap((asset) => asset.owners)),
    states: sorted(all.map((asset) => asset.health)),
  };
}

// The graph of assets: what is upstream and downstream of an asset, and what a filter leaves.

import type { Asset } from "./assets";

/** The ids that are reached from an asset in one direction, with the asset itself. */
export function reached(assets: Map<string, Asset>, from: string, direction: "upstream" | "downstream", depth: number): Set<string> {
  const found = new Set([from]);
  let level = [from];
  for (let step = 0; step < depth && level.length; step++) {
    level = level.flatMap((id) => assets.get(id)?.[direction] ?? []).filter((id) => assets.has(id) && !found.has(id));
    for (const id of level) found.add(id);
    level = [...new Set(level)];
  }
  return found;
}

/** The edges between these assets, from an input to what is made of it. */
export function edgesOf(assets: Iterable<Asset>, ids: Set<string>): [string, string][] {
  const edges: [string, string][] = [];
  for (const asset of assets) {
    if (ids.has(asset.id)) for (const input of asset.upstream) if (ids.has(input)) edges.push([input, asset.id]);
  }
  return edges;
}

export interface GraphFilter {
  project?: string;
  text?: string;
  focus?: string;
  depth: number;
}

/** The assets that a page shows: the neighborhood of the focused one, or those that the filter leaves. */
export function chosen(assets: Map<string, Asset>, { project, text, focus, depth }: GraphFilter): Set<string> {
  if (focus && assets.has(focus)) {
    return new Set([...reached(assets, focus, "upstream", depth), ...reached(assets, focus, "downstream", depth)]);
  }
  const wanted = text?.toLowerCase();
  const left = [...assets.values()].filter(
    (asset) => (!project || projectOf(asset.id) === project) && (!wanted || asset.id.toLowerCase().includes(wanted)),
  );
  return new Set(left.map((asset) => asset.id));
}

export function projectOf(id: string): string {
  return id.split(".", 1)[0] ?? id;
}

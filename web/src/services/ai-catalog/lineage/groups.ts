// Groups of assets: a project or a layer as one node, unless it is open.

import { type Edge, type Graph, layerOf, projectOf } from "./graph";

export type Grouping = "none" | "project" | "layer";

/** More assets than people can take in at once are grouped until they open a group. */
export const MOST_UNGROUPED = 400;

export interface Group {
  id: string;
  name: string;
  size: number;
  /** Numbers of assets by state. */
  states: Record<string, number>;
}

export interface Link extends Edge {
  id: string;
  /** Number of edges between assets that it stands for. */
  count: number;
}

export interface Grouped {
  assets: string[];
  groups: Group[];
  links: Link[];
}

const PREFIX = "group:";

export function isGroup(id: string): boolean {
  return id.startsWith(PREFIX);
}

export function groupName(id: string): string {
  return id.slice(PREFIX.length);
}

export function groupOf(id: string, grouping: Grouping): string {
  return grouping === "project" ? projectOf(id) : layerOf(id);
}

export function grouped({ assets, edges }: Graph, ids: Set<string>, grouping: Grouping, open: Set<string>): Grouped {
  const groups = new Map<string, Group>();
  const single: string[] = [];
  const place = new Map<string, string>();
  for (const id of ids) {
    const name = groupOf(id, grouping);
    if (grouping === "none" || open.has(name)) {
      single.push(id);
      place.set(id, id);
      continue;
    }
    const group = groups.get(name) ?? { id: PREFIX + name, name, size: 0, states: {} };
    const state = assets.get(id)?.health ?? "UNKNOWN";
    group.size += 1;
    group.states[state] = (group.states[state] ?? 0) + 1;
    groups.set(name, group);
    place.set(id, group.id);
  }
  const links = new Map<string, Link>();
  for (const edge of edges) {
    const source = place.get(edge.source);
    const target = place.get(edge.target);
    if (!source || !target || source === target) continue;
    const id = `${source} ${target}`;
    const link = links.get(id);
    if (link) {
      link.count += 1;
      link.behind ||= edge.behind;
    } else links.set(id, { ...edge, id, source, target, count: 1, version: isGroup(source) || isGroup(target) ? null : edge.version });
  }
  return { assets: single, groups: [...groups.values()], links: [...links.values()] };
}

// Positions of the nodes of a graph, computed in a worker so that the page stays responsive.

import ELK, { type ElkNode } from "elkjs/lib/elk-api";
import workerUrl from "elkjs/lib/elk-worker.min.js?url";

export const WIDTH = 224;
export const HEIGHT = 72;

const OPTIONS = {
  "elk.algorithm": "layered",
  "elk.direction": "RIGHT",
  "elk.layered.spacing.nodeNodeBetweenLayers": "64",
  "elk.spacing.nodeNode": "16",
  "elk.layered.nodePlacement.strategy": "NETWORK_SIMPLEX",
};

let engine: InstanceType<typeof ELK> | undefined;

export interface Position {
  x: number;
  y: number;
}

/** Lays out nodes from left to right along their edges. */
export async function layout(ids: string[], edges: [string, string][]): Promise<Map<string, Position>> {
  engine ??= new ELK({ workerUrl });
  const graph: ElkNode = {
    id: "root",
    layoutOptions: OPTIONS,
    children: ids.map((id) => ({ id, width: WIDTH, height: HEIGHT })),
    edges: edges.map(([source, target]) => ({ id: `${source} ${target}`, sources: [source], targets: [target] })),
  };
  const placed = await engine.layout(graph);
  return new Map(placed.children?.map((node) => [node.id, { x: node.x ?? 0, y: node.y ?? 0 }]));
}

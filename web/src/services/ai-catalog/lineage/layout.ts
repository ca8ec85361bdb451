// Positions of the nodes of a graph, computed in a worker so that the page stays responsive.

import ELK, { type ElkNode } from "elkjs/lib/elk-api";
import workerUrl from "elkjs/lib/elk-worker.min.js?url";
import { layers, type Position } from "./layers";

export const WIDTH = 232;
export const HEIGHT = 76;
/** Between the layers is room for the text of an edge. */
const GAP = { x: 168, y: 20 };

/** For more nodes, ELK takes long and makes high, narrow columns. */
export const MOST_BY_ELK = 120;
/** The best placement of ELK takes a second for more nodes. */
const MOST_CAREFUL = 80;

// The worker takes as long to start as the graph to arrive, so it starts with the page.
const engine = new ELK({ workerUrl });

/** Lays out nodes from left to right along their edges. */
export async function layout(ids: string[], edges: [string, string][]): Promise<Map<string, Position>> {
  if (ids.length > MOST_BY_ELK) return layers(ids, edges, WIDTH + GAP.x, HEIGHT + GAP.y);
  const graph: ElkNode = {
    id: "root",
    layoutOptions: {
      "elk.algorithm": "layered",
      "elk.direction": "RIGHT",
      "elk.layered.spacing.nodeNodeBetweenLayers": String(GAP.x),
      "elk.spacing.nodeNode": String(GAP.y),
      "elk.layered.nodePlacement.strategy": ids.length > MOST_CAREFUL ? "BRANDES_KOEPF" : "NETWORK_SIMPLEX",
    },
    children: ids.map((id) => ({ id, width: WIDTH, height: HEIGHT })),
    edges: edges.map(([source, target]) => ({ id: `${source} ${target}`, sources: [source], targets: [target] })),
  };
  const placed = await engine.layout(graph);
  return new Map(placed.children?.map((node) => [node.id, { x: node.x ?? 0, y: node.y ?? 0 }]));
}

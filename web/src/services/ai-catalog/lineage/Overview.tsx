import { ViewportPortal } from "@xyflow/react";
import { useMemo } from "react";
import { t } from "../../../language/text";
import { stateColor } from "../../../ui/stateColor";
import type { Graph } from "./graph";
import type { Link } from "./groups";
import type { Position } from "./layers";
import { HEIGHT, WIDTH } from "./layout";

interface Props {
  graph: Graph;
  links: Link[];
  positions: Map<string, Position>;
}

/** A large graph from afar: one path for all nodes of a state and one for all edges, so that thousands are drawn at once. */
export function Overview({ graph, links, positions }: Props) {
  const { nodes, edges } = useMemo(() => {
    const paths = new Map<string, string[]>();
    for (const [id, { x, y }] of positions) {
      const color = stateColor(graph.assets.get(id)?.health ?? "");
      const path = paths.get(color) ?? [];
      path.push(`M${Math.round(x)} ${Math.round(y)}h${WIDTH}v${HEIGHT}h${-WIDTH}z`);
      paths.set(color, path);
    }
    const lines = links.map(({ source, target }) => {
      const [from, to] = [positions.get(source), positions.get(target)];
      return from && to ? `M${Math.round(from.x + WIDTH)} ${Math.round(from.y + HEIGHT / 2)}L${Math.round(to.x)} ${Math.round(to.y + HEIGHT / 2)}` : "";
    });
    return { nodes: [...paths].map(([color, path]) => [color, path.join("")] as const), edges: lines.join("") };
  }, [graph, links, positions]);
  return (
    <ViewportPortal>
      <svg data-testid="overview" data-nodes={positions.size} role="img" aria-label={t("{count, number} nodes. Zoom in to read them.", { count: positions.size })} style={{ position: "absolute", overflow: "visible", width: 1, height: 1 }}>
        <path d={edges} fill="none" stroke="var(--mantine-color-default-border)" strokeWidth={2} vectorEffect="non-scaling-stroke" opacity={0.5} />
        {nodes.map(([color, path]) => <path key={color} d={path} fill={`var(--mantine-color-${color}-${color === "gray" ? 5 : "filled"})`} />)}
      </svg>
    </ViewportPortal>
  );
}

import "@xyflow/react/dist/style.css";
import { useComputedColorScheme } from "@mantine/core";
import { Background, Controls, type Edge as DrawnEdge, MarkerType, MiniMap, ReactFlow, ReactFlowProvider, useReactFlow, useStore, type Viewport } from "@xyflow/react";
import { type KeyboardEvent, useMemo, useState } from "react";
import { t } from "../../../language/text";
import { AssetCard, type AssetNode, GroupCard, type GroupNode, type Mark } from "./AssetCard";
import { type Direction, type Graph, shortVersion } from "./graph";
import type { Grouped } from "./groups";
import type { Position } from "./layers";
import { HEIGHT, WIDTH } from "./layout";
import { Overview } from "./Overview";

/** With more nodes, a small zoom shows rectangles instead of cards. */
const MOST_CARDS = 600;
const OVERVIEW = 0.3;
/** With more edges, their texts would cover one another. */
const MOST_TEXTS = 60;
const MARGIN = 24;
const NODE_TYPES = { asset: AssetCard, assets: GroupCard };

interface Props {
  graph: Graph;
  grouped: Grouped;
  positions: Map<string, Position>;
  marks: Map<string, Mark>;
  /** The viewport of the address. Null for the one that shows everything. */
  viewport: Viewport | null;
  width: number;
  height: number;
  onViewport: (viewport: Viewport) => void;
  onFocus: (id: string) => void;
  onMore: (id: string) => void;
  onOpen: (name: string) => void;
}

/** The drawn graph. The keys +, -, and 0 zoom. */
export function Canvas(props: Props) {
  return <ReactFlowProvider><Flow {...props} /></ReactFlowProvider>;
}

function Flow({ graph, grouped, positions, marks, viewport, width, height, onViewport, onFocus, onMore, onOpen }: Props) {
  const scheme = useComputedColorScheme("light");
  const flow = useReactFlow();
  const many = positions.size > MOST_CARDS;
  const [first] = useState(() => viewport ?? whole(positions, width, height));
  // Until the viewport is in place, the zoom is 1, which would draw cards of a graph that is far away.
  const [placed, setPlaced] = useState(false);
  const far = useStore((store) => store.transform[2] < OVERVIEW);
  const overview = many && (placed ? far : first.zoom < OVERVIEW);
  const nodes = useMemo(() => {
    const place = (id: string) => ({ id, position: positions.get(id) ?? { x: 0, y: 0 }, width: WIDTH, height: HEIGHT });
    const visible = new Set(grouped.assets);
    const hidden = (ids: string[]) => ids.filter((id) => !visible.has(id) && graph.assets.has(id)).length;
    const singles = grouped.assets.flatMap((id): AssetNode[] => {
      const asset = graph.assets.get(id);
      if (!asset || !positions.has(id)) return [];
      const beyond: Record<Direction, number> = grouped.groups.length ? { upstream: 0, downstream: 0 } : { upstream: hidden(asset.upstream), downstream: hidden(asset.downstream) };
      return [{ ...place(id), type: "asset", data: { asset, mark: marks.get(id) ?? null, hidden: beyond, onFocus, onMore } }];
    });
    const groups = grouped.groups.filter((group) => positions.has(group.id)).map((group): GroupNode => ({ ...place(group.id), type: "assets", data: { group, onOpen } }));
    return [...groups, ...singles];
  }, [graph, grouped, positions, marks, onFocus, onMore, onOpen]);
  const edges = useMemo(() => {
    const texts = grouped.links.length <= MOST_TEXTS;
    return grouped.links.map(({ id, source, target, version, behind, declared, count }): DrawnEdge => {
      const read = version ? t("version {version}", { version: shortVersion(version) }) : t("{count, plural, one {} other {{count, number} edges}}", { count });
      return {
        id,
        source,
        target,
        label: texts ? [read, behind && t("newer exists"), !declared && t("not declared")].filter(Boolean).join(", ") || undefined : undefined,
        labelStyle: { fill: "var(--mantine-color-text)" },
        labelBgStyle: { fill: "var(--mantine-color-body)" },
        style: { stroke: behind ? "var(--mantine-color-orange-filled)" : undefined, strokeDasharray: declared ? undefined : "4 4" },
        markerEnd: { type: MarkerType.ArrowClosed },
        focusable: false,
      };
    });
  }, [grouped]);
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.target instanceof HTMLInputElement || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "+" || event.key === "=") void flow.zoomIn();
    else if (event.key === "-") void flow.zoomOut();
    else if (event.key === "0") void flow.fitView({ maxZoom: 1 });
  };
  return (
    <ReactFlow
      nodes={overview ? [] : nodes}
      edges={overview ? [] : edges}
      nodeTypes={NODE_TYPES}
      colorMode={scheme}
      defaultViewport={first}
      onInit={() => setPlaced(true)}
      minZoom={0.02}
      maxZoom={2}
      nodesDraggable={false}
      nodesConnectable={false}
      nodesFocusable={false}
      edgesFocusable={false}
      elementsSelectable={false}
      onlyRenderVisibleElements={nodes.length > 100}
      onMoveEnd={(_, moved) => onViewport(moved)}
      onKeyDown={onKeyDown}
      tabIndex={0}
      proOptions={{ hideAttribution: true }}
      aria-label={t("Graph of assets. The keys plus, minus, and 0 zoom.")}
    >
      <Background />
      <Controls showInteractive={false} fitViewOptions={{ maxZoom: 1 }} />
      {overview && <Overview graph={graph} links={grouped.links} positions={positions} />}
      {nodes.length > 30 && nodes.length <= MOST_CARDS && <MiniMap pannable zoomable aria-label={t("Map of the graph")} />}
    </ReactFlow>
  );
}

/** The viewport that shows all nodes in the middle. It is known before any node is drawn. */
function whole(positions: Map<string, Position>, width: number, height: number): Viewport {
  const places = [...positions.values()];
  const left = Math.min(...places.map(({ x }) => x));
  const top = Math.min(...places.map(({ y }) => y));
  const right = Math.max(...places.map(({ x }) => x)) + WIDTH;
  const bottom = Math.max(...places.map(({ y }) => y)) + HEIGHT;
  const zoom = Math.max(0.02, Math.min(1, (width - 2 * MARGIN) / (right - left), (height - 2 * MARGIN) / (bottom - top)));
  return { x: width / 2 - ((left + right) / 2) * zoom, y: height / 2 - ((top + bottom) / 2) * zoom, zoom };
}

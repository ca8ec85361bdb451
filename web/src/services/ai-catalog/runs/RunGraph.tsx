import "@xyflow/react/dist/style.css";
import { Card, Group, Text, useComputedColorScheme } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { Background, Controls, type Edge, Handle, type Node, type NodeProps, Position as Side, ReactFlow } from "@xyflow/react";
import { t } from "../../../language/text";
import { State } from "../../../ui/State";
import { HEIGHT, layout, WIDTH } from "../lineage/layout";
import type { Graph } from "./runs";

type RunNode = Node<{ asset: string; state: string | null; produced: boolean; word: string }>;

/** The assets of a run with their inputs. `word` says what a run makes that has no state. */
export function RunGraph({ graph, word = t("Not started") }: { graph: Graph; word?: string }) {
  const scheme = useComputedColorScheme("light");
  const navigate = useNavigate();
  const ids = graph.nodes.map((node) => node.asset);
  const pairs = graph.edges.map((edge): [string, string] => [edge.input, edge.output]);
  const positions = useQuery({
    queryKey: ["layout", "run", ids, pairs],
    queryFn: () => layout(ids, pairs),
    enabled: ids.length > 0,
    staleTime: Number.POSITIVE_INFINITY,
  });
  const nodes: RunNode[] = graph.nodes.flatMap((node) => {
    const position = positions.data?.get(node.asset);
    return position ? [{ id: node.asset, type: "asset", position, width: WIDTH, height: HEIGHT, data: { ...node, word } }] : [];
  });
  const edges: Edge[] = pairs.map(([source, target]) => ({ id: `${source} ${target}`, source, target }));
  if (!nodes.length) return null;
  return (
    <div style={{ height: 320 }}>
      <ReactFlow
        key={`${ids.join(" ")}`}
        nodes={nodes}
        edges={edges}
        nodeTypes={NODE_TYPES}
        colorMode={scheme}
        fitView
        fitViewOptions={{ maxZoom: 1 }}
        minZoom={0.05}
        nodesDraggable={false}
        nodesConnectable={false}
        onNodeClick={(_, node) => void navigate({ to: `/ai-catalog/assets/${encodeURIComponent(node.id)}` })}
        proOptions={{ hideAttribution: true }}
        aria-label={t("Graph of the assets of the run")}
      >
        <Background />
        <Controls showInteractive={false} />
      </ReactFlow>
    </div>
  );
}

function AssetCard({ data }: NodeProps<RunNode>) {
  const [project, schema, ...table] = data.asset.split(".");
  return (
    <Card withBorder padding={8} w={WIDTH} h={HEIGHT}>
      <Handle type="target" position={Side.Left} isConnectable={false} />
      <Text size="sm" fw={600} truncate="end" title={data.asset}>{table.join(".")}</Text>
      <Text size="xs" c="dimmed" truncate="end">{project} · {schema}</Text>
      <Group gap={4} wrap="nowrap">
        {data.state ? <State value={data.state} size="xs" /> : <Text size="xs" c="dimmed">{data.produced ? data.word : t("Input")}</Text>}
      </Group>
      <Handle type="source" position={Side.Right} isConnectable={false} />
    </Card>
  );
}

const NODE_TYPES = { asset: AssetCard };

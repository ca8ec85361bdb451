import "@xyflow/react/dist/style.css";
import { Card, Skeleton, Text, useComputedColorScheme } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { Background, Controls, Handle, type Node, type NodeProps, Position as Side, ReactFlow } from "@xyflow/react";
import { useMemo } from "react";
import { HEIGHT, layout, WIDTH } from "../lineage/layout";
import { assetPage, namesOf, versionNumber } from "./asset";
import type { LineageGraph as Graph } from "../../../api/generated/ai-catalog";
import { t } from "../../../language/text";

type VersionNode = Node<{ asset: string; version: string | null; start: boolean; deleted: boolean; linked: boolean }>;

/** The versions that a version was made from, from left to right. */
export default function ProvenanceGraph({ graph }: { graph: Graph }) {
  const scheme = useComputedColorScheme("light");
  const navigate = useNavigate();
  const key = (asset: string, version: string | null) => `${asset} ${version ?? ""}`;
  const { ids, edges } = useMemo(() => {
    const known = new Set(graph.nodes.map((one) => key(one.asset, one.version)));
    const pairs = graph.edges.map((one): [string, string] => [key(one.in_asset, one.in_version), key(one.out_asset, one.out_version)]);
    return { ids: [...known], edges: pairs.filter(([from, to], number) => from !== to && known.has(from) && known.has(to) && pairs.findIndex((other) => other[0] === from && other[1] === to) === number) };
  }, [graph]);
  const positions = useQuery({ queryKey: ["layout", ids, edges], queryFn: () => layout(ids, edges), staleTime: Number.POSITIVE_INFINITY });
  if (!positions.data) return <Skeleton h={320} />;
  const nodes: VersionNode[] = graph.nodes.flatMap((one) => {
    const id = key(one.asset, one.version);
    const position = positions.data.get(id);
    const data = { asset: one.asset, version: one.version, start: one.distance === 0, deleted: one.tombstoned, linked: !one.asset.includes(":") };
    return position ? [{ id, type: "version", position, width: WIDTH, height: HEIGHT, data, ariaLabel: `${one.asset}${one.version ? t(" at version {version}", { version: versionNumber(one.version) }) : ""}` }] : [];
  });
  return (
    <div style={{ height: Math.min(480, 140 + 40 * nodes.length) }}>
      <ReactFlow
        nodes={nodes}
        edges={edges.map(([source, target]) => ({ id: `${source} ${target}`, source, target }))}
        nodeTypes={NODE_TYPES}
        colorMode={scheme}
        fitView
        fitViewOptions={{ maxZoom: 1 }}
        minZoom={0.1}
        nodesDraggable={false}
        nodesConnectable={false}
        preventScrolling={false}
        zoomOnScroll={false}
        onNodeClick={(_, node) => node.data.linked && void navigate({ to: assetPage(node.data.asset), search: node.data.version ? { tab: "provenance", version: node.data.version } : {} })}
      >
        <Background />
        <Controls showInteractive={false} />
      </ReactFlow>
    </div>
  );
}

function VersionCard({ data }: NodeProps<VersionNode>) {
  const { project, layer, name } = data.asset.includes(":") ? { project: "", layer: "", name: data.asset } : namesOf(data.asset);
  return (
    <Card withBorder padding={8} w={WIDTH} h={HEIGHT} style={data.start ? { outline: "2px solid var(--mantine-primary-color-filled)" } : undefined}>
      <Handle type="target" position={Side.Left} isConnectable={false} />
      <Text size="sm" fw={600} truncate="end" title={data.asset}>{name}</Text>
      <Text size="xs" c="dimmed" truncate="end">{layer ? `${project} · ${layer}` : t("Outside the lakehouse")}</Text>
      <Text size="xs" truncate="end" title={data.version ?? undefined}>{data.version ? t("Version {version}", { version: versionNumber(data.version) }) : t("No version yet")}{data.deleted && t(", deleted since")}</Text>
      <Handle type="source" position={Side.Right} isConnectable={false} />
    </Card>
  );
}

export type { Graph };

const NODE_TYPES = { version: VersionCard };

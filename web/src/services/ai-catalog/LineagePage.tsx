import "@xyflow/react/dist/style.css";
import { Badge, Button, Card, Group, Select, Stack, Text, TextInput, Title, useComputedColorScheme } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { Background, Controls, type Edge, Handle, MiniMap, type Node, type NodeProps, Position as Side, ReactFlow } from "@xyflow/react";
import { useMemo, useState } from "react";
import { stateColor } from "../../fields/Value";
import { Time } from "../../ui/Time";
import { Trouble } from "../../ui/Trouble";
import { type Asset, assets } from "./assets";
import { chosen, edgesOf, projectOf, reached } from "./graph";
import { HEIGHT, layout, WIDTH } from "./layout";

/** A layout of more nodes takes longer than people wait. They choose a project, or an asset and its neighborhood. */
const MAX_NODES = 800;
const DEPTH = 3;
const EVERYTHING = 1_000;

export interface LineageSearch {
  focus?: string;
  project?: string;
  text?: string;
}

type AssetNode = Node<{ asset: Asset; focused: boolean }>;

/** The graph of assets, from sources on the left to what is made of them on the right. */
export function LineagePage() {
  const search = useSearch({ from: "/lineage" });
  const navigate = useNavigate({ from: "/lineage" });
  const scheme = useComputedColorScheme("light");
  const found = useQuery(assets);
  const [typed, setTyped] = useState(search.text ?? "");
  const [text] = useDebouncedValue(typed, 300);
  const known = found.data;
  const ids = useMemo(() => (known ? chosen(known, { ...search, text, depth: DEPTH }) : new Set<string>()), [known, search, text]);
  const tooMany = ids.size > MAX_NODES;
  const edges = useMemo(() => (known && !tooMany ? edgesOf(known.values(), ids) : []), [known, ids, tooMany]);
  const shape = [...ids].sort().join(" ");
  const positions = useQuery({
    queryKey: ["layout", shape],
    queryFn: () => layout([...ids], edges),
    enabled: Boolean(known) && !tooMany && ids.size > 0,
    staleTime: Number.POSITIVE_INFINITY,
  });
  const focused = search.focus ? known?.get(search.focus) : undefined;
  const change = (changed: LineageSearch) => navigate({ search: (before) => ({ ...before, ...changed }), replace: true });
  const projects = useMemo(() => [...new Set([...(known?.keys() ?? [])].map(projectOf))].sort(), [known]);
  const nodes: AssetNode[] = [...ids].flatMap((id) => {
    const asset = known?.get(id);
    const position = positions.data?.get(id);
    return asset && position ? [{ id, type: "asset", position, width: WIDTH, height: HEIGHT, data: { asset, focused: id === search.focus } }] : [];
  });
  const drawn: Edge[] = edges.map(([source, target]) => ({ id: `${source} ${target}`, source, target, animated: known?.get(target)?.runs_in_progress.length ? true : undefined }));

  return (
    <Stack gap="sm" h="calc(100dvh - 80px)">
      <Group justify="space-between">
        <Title order={1}>Lineage</Title>
        <Group gap="xs">
          <TextInput aria-label="Find an asset" placeholder="Find an asset" value={typed} onChange={(event) => { setTyped(event.currentTarget.value); void change({ text: event.currentTarget.value || undefined, focus: undefined }); }} />
          <Select aria-label="Project" placeholder="All projects" data={projects} value={search.project ?? null} clearable onChange={(project) => void change({ project: project ?? undefined, focus: undefined })} />
          {search.focus && <Button variant="default" onClick={() => void change({ focus: undefined })}>Show all</Button>}
        </Group>
      </Group>
      {found.error && <Trouble error={found.error} retry={() => found.refetch()} />}
      {tooMany && <Text>There are {ids.size.toLocaleString()} assets. Choose a project, or find an asset.</Text>}
      {known && !ids.size && <Text c="dimmed">{known.size ? "No asset matches." : "There are no assets that you can see."}</Text>}
      {focused && known && <Focused asset={focused} known={known} />}
      {nodes.length > 0 && (
        <div style={{ flex: 1, minHeight: 320 }}>
          <ReactFlow
            key={shape}
            nodes={nodes}
            edges={drawn}
            nodeTypes={NODE_TYPES}
            colorMode={scheme}
            fitView
            fitViewOptions={{ maxZoom: 1 }}
            minZoom={0.05}
            nodesDraggable={false}
            nodesConnectable={false}
            onlyRenderVisibleElements={nodes.length > 200}
            onNodeClick={(_, node) => void change({ focus: node.id })}
            proOptions={{ hideAttribution: true }}
            aria-label="Graph of assets"
          >
            <Background />
            <Controls showInteractive={false} />
            {nodes.length > 30 && <MiniMap pannable zoomable />}
          </ReactFlow>
        </div>
      )}
    </Stack>
  );
}

function Focused({ asset, known }: { asset: Asset; known: Map<string, Asset> }) {
  const upstream = reached(known, asset.id, "upstream", EVERYTHING).size - 1;
  const downstream = reached(known, asset.id, "downstream", EVERYTHING).size - 1;
  return (
    <Card withBorder padding="sm">
      <Group justify="space-between" wrap="wrap">
        <div>
          <Text fw={600}>{asset.id}</Text>
          <Text size="sm" c="dimmed">{asset.description}</Text>
          <Text size="sm">
            Made from {upstream} {upstream === 1 ? "asset" : "assets"}. A change affects {downstream} {downstream === 1 ? "asset" : "assets"}.
            {asset.materialized_at && <> Materialized <Time value={asset.materialized_at} />.</>}
          </Text>
          {[...asset.health_reasons, ...asset.staleness_causes].slice(0, 3).map((reason) => <Text size="sm" key={reason}>{reason}</Text>)}
        </div>
        <Button component={Link} to={`/ai-catalog/assets/${encodeURIComponent(asset.id)}`} variant="default">Open</Button>
      </Group>
    </Card>
  );
}

function AssetCard({ data: { asset, focused } }: NodeProps<AssetNode>) {
  const [project, schema, ...table] = asset.id.split(".");
  return (
    <Card withBorder padding={8} w={WIDTH} h={HEIGHT} style={focused ? { outline: "2px solid var(--mantine-primary-color-filled)" } : undefined}>
      <Handle type="target" position={Side.Left} isConnectable={false} />
      <Text size="sm" fw={600} truncate="end" title={asset.id}>{table.join(".")}</Text>
      <Text size="xs" c="dimmed" truncate="end">{project} · {schema}</Text>
      <Group gap={4} wrap="nowrap">
        <Badge size="xs" variant="light" color={stateColor(asset.health)} tt="none">{asset.health.toLowerCase()}</Badge>
        <Badge size="xs" variant="light" color={stateColor(asset.staleness)} tt="none">{asset.staleness.toLowerCase().replaceAll("_", " ")}</Badge>
      </Group>
      <Handle type="source" position={Side.Right} isConnectable={false} />
    </Card>
  );
}

const NODE_TYPES = { asset: AssetCard };

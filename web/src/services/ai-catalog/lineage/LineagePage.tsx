import { Alert, Button, Group, Menu, Select, Skeleton, Stack, Text, TextInput, Title } from "@mantine/core";
import { useElementSize } from "@mantine/hooks";
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { useCallback, useMemo, useRef, useState } from "react";
import { rich, t } from "../../../language/text";
import { Time } from "../../../ui/Time";
import { Trouble } from "../../../ui/Trouble";
import { assetGraph, surroundingsOf } from "../graph-answer";
import { download } from "../query/csv";
import type { Mark } from "./AssetCard";
import { AssetTable } from "./AssetTable";
import { Canvas } from "./Canvas";
import { Focused } from "./Focused";
import { chosen, facets, graphOf } from "./graph";
import { grouped, type Grouping, MOST_UNGROUPED } from "./groups";
import { impact } from "./Impact";
import { layout } from "./layout";
import { colorsOf, png, svg } from "./picture";
import { type LineageSearch, listed, STEPS, viewportOf } from "./search";
import { useSoon } from "../../../ui/useSoon";

const GROUPINGS: { value: Grouping; label: string }[] = [
  { value: "none", label: t("No groups") },
  { value: "project", label: t("Group by project") },
  { value: "layer", label: t("Group by layer") },
];

/** The graph of assets, from sources on the left to what is made of them on the right. */
export function LineagePage() {
  const search = useSearch({ from: "/lineage" });
  const navigate = useNavigate({ from: "/lineage" });
  const box = useRef<HTMLDivElement>(null);
  const area = useElementSize();
  // Only the first graph is shown where the address says. Other graphs have other positions.
  const viewport = useRef(viewportOf(search.at));
  const whole = useQuery({ ...assetGraph, refetchInterval: 15_000 });
  const { focus = "", up = STEPS, down = STEPS } = search;
  const cut = whole.data?.truncated ?? false;
  const part = useQuery({ ...surroundingsOf(focus, up, down), enabled: cut && focus !== "" });
  const answer = (cut && focus && part.data) || whole.data;
  const graph = useMemo(() => (answer ? graphOf(answer) : null), [answer?.nodes, answer?.edges]);
  const choices = useMemo(() => (graph ? facets(graph) : null), [graph]);
  const change = useCallback((changed: LineageSearch) => void navigate({ search: (before) => ({ ...before, ...changed }), replace: true }), [navigate]);
  const filter = useCallback(
    (changed: LineageSearch) => {
      viewport.current = null;
      change({ ...changed, at: undefined });
    },
    [change],
  );

  const { project, kind, owner, state, text, more, open } = search;
  const ids = useMemo(() => (graph ? chosen(graph, { focus, up, down, more: listed(more), project, kind, owner, state, text }) : new Set<string>()), [graph, focus, up, down, more, project, kind, owner, state, text]);
  const grouping = search.group ?? (ids.size > MOST_UNGROUPED ? "layer" : "none");
  const parts = useMemo(() => (graph ? grouped(graph, ids, grouping, new Set(listed(open))) : null), [graph, ids, grouping, open]);
  const shape = parts ? [...parts.groups.map((group) => group.id), ...parts.assets].sort().join(" ") : "";
  const positions = useQuery({
    queryKey: ["layout", shape],
    queryFn: () => layout(shape.split(" "), parts?.links.map(({ source, target }): [string, string] => [source, target]) ?? []),
    enabled: shape !== "" && !search.view,
    staleTime: Number.POSITIVE_INFINITY,
    placeholderData: keepPreviousData,
  });
  const placed = useMemo(() => [...(positions.data?.keys() ?? [])].join(" "), [positions.data]);
  const affected = useQuery({ ...impact(focus, search.column ?? ""), enabled: Boolean(search.impact && focus) });
  const marks = useMemo(() => {
    const found = new Map<string, Mark>(search.impact ? affected.data?.assets.map((one) => [one.asset, "affected"]) : []);
    return focus ? found.set(focus, "focus") : found;
  }, [focus, search.impact, affected.data]);

  const [typed, setTyped] = useState(text ?? "");
  const find = useSoon((value: string) => filter({ text: value || undefined }), 300);
  const onFocus = useCallback((id: string) => filter({ focus: id, more: undefined, column: undefined }), [filter]);
  const onMore = useCallback((id: string) => filter({ more: [...new Set([...listed(more), id])].join(",") }), [filter, more]);
  const onOpen = useCallback((name: string) => filter({ group: grouping, open: [...new Set([...listed(open), name])].join(",") }), [filter, grouping, open]);
  const onViewport = useCallback(({ x, y, zoom }: { x: number; y: number; zoom: number }) => change({ at: `${Math.round(x)}_${Math.round(y)}_${zoom.toFixed(3)}` }), [change]);
  const picture = () => (graph && parts && positions.data && box.current ? svg(graph, parts, positions.data, colorsOf(box.current)) : "");
  const focused = graph?.assets.get(focus);
  const filtered = project || kind || owner || state || text;

  return (
    <Stack gap="sm" h="calc(100dvh - 80px)" ref={box}>
      <Group justify="space-between">
        <Title order={1}>{t("Lineage")}</Title>
        <Group gap="xs">
          <Select aria-label={t("Groups")} size="xs" w={150} data={GROUPINGS} value={grouping} allowDeselect={false} onChange={(value) => filter({ group: value as Grouping, open: undefined })} />
          <Button size="xs" variant="default" onClick={() => change({ view: search.view ? undefined : "table" })}>{search.view ? t("Show as graph") : t("Show as table")}</Button>
          <Menu>
            <Menu.Target><Button size="xs" variant="default" disabled={!positions.data}>{t("Export")}</Button></Menu.Target>
            <Menu.Dropdown>
              <Menu.Item onClick={() => download("lineage.svg", picture(), "image/svg+xml")}>{t("SVG")}</Menu.Item>
              <Menu.Item onClick={() => void png(picture()).then((blob) => download("lineage.png", blob))}>{t("PNG")}</Menu.Item>
            </Menu.Dropdown>
          </Menu>
        </Group>
      </Group>
      <Group gap="xs">
        <TextInput size="xs" flex={1} miw={160} aria-label={t("Find an asset")} placeholder={t("Find an asset")} value={typed} onChange={(event) => { setTyped(event.currentTarget.value); find(event.currentTarget.value); }} />
        <Select size="xs" w={140} searchable clearable aria-label={t("Project")} placeholder={t("All projects")} data={choices?.projects ?? []} value={project ?? null} onChange={(value) => filter({ project: value ?? undefined })} />
        <Select size="xs" w={120} searchable clearable aria-label={t("Kind")} placeholder={t("All kinds")} data={choices?.kinds ?? []} value={kind ?? null} onChange={(value) => filter({ kind: value ?? undefined })} />
        <Select size="xs" w={140} searchable clearable aria-label={t("Owner")} placeholder={t("All owners")} data={choices?.owners ?? []} value={owner ?? null} onChange={(value) => filter({ owner: value ?? undefined })} />
        <Select size="xs" w={120} clearable aria-label={t("State")} placeholder={t("All states")} data={choices?.states.map((value) => ({ value, label: value.toLowerCase() })) ?? []} value={state ?? null} onChange={(value) => filter({ state: value ?? undefined })} />
      </Group>
      {listed(open).length > 0 && grouping !== "none" && (
        <Group gap={4}>
          <Text size="xs" c="dimmed">{t("Open:")}</Text>
          {listed(open).map((name) => (
            <Button key={name} size="compact-xs" variant="default" aria-label={t("Close {name}", { name })} rightSection="×" onClick={() => filter({ open: listed(open).filter((one) => one !== name).join(",") || undefined })}>{name}</Button>
          ))}
        </Group>
      )}
      {(whole.error ?? part.error) && <Trouble error={whole.error ?? part.error} retry={() => whole.refetch()} />}
      {answer?.stale_since && <Alert color="orange" variant="light">{rich("Dagster doesn't respond. This is the state of {time}.", { time: <Time value={answer.stale_since} /> })}</Alert>}
      {cut && !focus && <Alert color="gray" variant="light">{t("There are more assets than the graph shows. Open an asset, and follow its lineage from there.")}</Alert>}
      {focused && graph && (
        <Focused asset={focused} graph={graph} up={up} down={down} impact={search.impact ?? false} column={search.column ?? ""} onChange={filter} onLeave={() => filter({ focus: undefined, more: undefined, impact: undefined, column: undefined })} />
      )}
      {focus && graph && !focused && <Alert color="gray" variant="light">{t("There is no asset {focus} that you can see. The graph shows all that you can see.", { focus })}</Alert>}
      {graph && !ids.size && <Text c="dimmed">{filtered ? t("No asset matches.") : t("There are no assets that you can see.")}</Text>}
      {!graph && !whole.error && <Skeleton style={{ flex: 1 }} />}
      {graph && search.view === "table" && ids.size > 0 && <AssetTable graph={graph} ids={ids} />}
      {graph && parts && !search.view && ids.size > 0 && (
        <div ref={area.ref} style={{ flex: 1, minHeight: 320 }}>
          {positions.isPending && <Skeleton height="100%" />}
          {positions.error && <Trouble error={positions.error} retry={() => positions.refetch()} />}
          {positions.data && area.width > 0 && (
            <Canvas
              key={placed}
              {...{ graph, positions: positions.data, marks, onViewport, onFocus, onMore, onOpen }}
              grouped={parts}
              viewport={viewport.current}
              width={area.width}
              height={area.height}
            />
          )}
        </div>
      )}
    </Stack>
  );
}

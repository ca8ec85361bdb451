import { Alert, Anchor, Breadcrumbs, Button, Code, Group, Stack, Table, Tabs, Text, Title } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { lazy, Suspense, useMemo } from "react";
import { get, send } from "../../../api/http";
import { useLive } from "../../../api/live";
import { catalogues, kindOf, openApi } from "../../../api/platform";
import { Fields } from "../../../kernel/Fields";
import { History } from "../../../kernel/History";
import { OperationButton } from "../../../kernel/OperationButton";
import { rich, t } from "../../../language/text";
import { NewPill } from "../../../ui/NewPill";
import { State } from "../../../ui/State";
import { Time } from "../../../ui/Time";
import { Trouble } from "../../../ui/Trouble";
import { assets } from "../assets";
import { RunTable } from "./RunTable";
import type { Graph } from "./runs";
import { useRuns } from "./useRuns";

const RunGraph = lazy(async () => ({ default: (await import("./RunGraph")).RunGraph }));
const ROUTE = "/ai-catalog/pipelines/$id" as const;
const PATH = "/api/v1/ai-catalog/pipelines";
const PAGE_SIZE = 20;

interface Parameter {
  type: string;
  description: string;
  default: unknown;
  allowed: unknown[];
  targets: { asset: string; field: string }[];
}

interface Pipeline extends Record<string, unknown> {
  id: string;
  name: string;
  spec: { title: string; description: string; assets: string[]; parameters: Record<string, Parameter>; schedule: object | null };
  status: { state: string; published_at: string | null };
}

interface Publication {
  state: string;
  modified: boolean;
  loaded: boolean;
  published_by: string | null;
  error: string | null;
  missing_assets: string[];
}

interface Times {
  schedule: string | null;
  state: string;
  cron: string;
  timezone: string;
  next_at: string[];
  last_tick: { at: string; status: string; message: string | null } | null;
}

/** A pipeline: its assets, when it runs, its parameters, and its runs. */
export function PipelinePage() {
  const { id } = useParams({ from: ROUTE });
  const { tab = "overview" } = useSearch({ from: ROUTE });
  const navigate = useNavigate({ from: ROUTE });
  const path = `${PATH}/${encodeURIComponent(id)}`;
  const found = useQuery({ queryKey: ["item", "ai-catalog", "pipelines", id], queryFn: ({ signal }) => send<Pipeline>("GET", path, { signal }), retry: false });
  const pipeline = found.data?.body;
  const publication = useQuery({ queryKey: ["item", "ai-catalog", "pipelines", id, "publication"], queryFn: ({ signal }) => get<Publication>(`${path}/publication`, { signal }), refetchInterval: 10_000, retry: false });
  useLive(["ai_catalog.pipeline"], ["item", "ai-catalog", "pipelines", id], pipeline?.id);
  if (found.error) return <Trouble error={found.error} retry={() => found.refetch()} />;
  if (!pipeline) return null;
  const state = publication.data;
  const button = { service: "ai-catalog", plural: "pipelines", id: pipeline.id, item: pipeline, etag: found.data?.etag, onDone: () => void found.refetch() };
  const isPublished = pipeline.status.state === "PUBLISHED";
  return (
    <Stack gap="md">
      <Breadcrumbs>
        <Anchor component={Link} to="/ai-catalog/pipelines" size="sm">{t("Pipelines")}</Anchor>
        <Text size="sm">{pipeline.name}</Text>
      </Breadcrumbs>
      <Group justify="space-between" align="flex-start">
        <div style={{ minWidth: 0 }}>
          <Group gap="sm"><Title order={1}>{pipeline.spec.title || pipeline.name}</Title><State value={pipeline.status.state} /></Group>
          <Text size="sm" c="dimmed">{pipeline.spec.description}</Text>
          {state?.published_by && pipeline.status.published_at && <Text size="sm" c="dimmed">{rich("Published by {published_by} {time}", { published_by: state.published_by, time: <Time value={pipeline.status.published_at} /> })}</Text>}
        </div>
        <Group gap="xs">
          {isPublished && <OperationButton {...button} verb="run" text={t("Run")} variant="filled" />}
          {isPublished && <OperationButton {...button} verb="backfill" text={t("Backfill")} />}
          {(!isPublished || state?.modified) && <OperationButton {...button} verb="publish" text={isPublished ? t("Publish changes") : t("Publish")} />}
          <OperationButton {...button} verb="update" />
          {isPublished && <OperationButton {...button} verb="unpublish" />}
        </Group>
      </Group>
      {state?.error && <Alert color="red" variant="light" title={t("The pipeline can't run")}>{state.error}</Alert>}
      {state && state.missing_assets.length > 0 && <Alert color="red" variant="light" title={t("Assets are missing")}>{state.missing_assets.join(", ")}</Alert>}
      {state && isPublished && !state.loaded && !state.error && <Alert color="gray" variant="light">{t("Dagster loads the published version. This takes a few seconds.")}</Alert>}
      {state?.modified && <Alert color="gray" variant="light">{t("The pipeline was changed after it was published. Runs use the published version.")}</Alert>}
      <Tabs value={tab} onChange={(chosen) => void navigate({ search: chosen === "overview" ? {} : { tab: chosen ?? undefined } })} keepMounted={false}>
        <Tabs.List>
          <Tabs.Tab value="overview">{t("Overview")}</Tabs.Tab>
          <Tabs.Tab value="settings">{t("Settings")}</Tabs.Tab>
          <Tabs.Tab value="history">{t("History")}</Tabs.Tab>
        </Tabs.List>
        <Tabs.Panel value="overview" pt="md">
          <Stack gap="lg">
            <Assets ids={pipeline.spec.assets} />
            {isPublished && pipeline.spec.schedule && <Schedule path={path} id={pipeline.id} />}
            {Object.keys(pipeline.spec.parameters).length > 0 && <Parameters parameters={pipeline.spec.parameters} />}
            <Runs pipeline={pipeline.id} />
          </Stack>
        </Tabs.Panel>
        <Tabs.Panel value="settings" pt="md"><Settings pipeline={pipeline} /></Tabs.Panel>
        <Tabs.Panel value="history" pt="md"><History path={`${path}/revisions`} /></Tabs.Panel>
      </Tabs>
    </Stack>
  );
}

/** The assets of the pipeline with their inputs. */
function Assets({ ids }: { ids: string[] }) {
  const { data: known } = useQuery(assets);
  const graph = useMemo((): Graph | null => {
    if (!known) return null;
    const edges = ids.flatMap((output) => (known.get(output)?.upstream ?? []).map((input) => ({ input, output, input_version: null })));
    const names = [...new Set([...ids, ...edges.map((edge) => edge.input)])].filter((id) => known.has(id));
    const nodes = names.map((asset) => ({ asset, produced: ids.includes(asset), state: null, version: null }));
    return { nodes, edges: edges.filter((edge) => known.has(edge.output)), hidden: ids.filter((id) => !known.has(id)).length };
  }, [known, ids]);
  return (
    <section aria-label={t("Assets")}>
      <Title order={2} mb="xs">{t("Assets")}</Title>
      <Suspense>{graph && <RunGraph graph={graph} word={t("Made by a run")} />}</Suspense>
      {graph && graph.hidden > 0 && <Text size="sm" c="dimmed">{t("{hidden} further assets that don't exist or that you can't see.", { hidden: graph.hidden })}</Text>}
    </section>
  );
}

function Schedule({ path, id }: { path: string; id: string }) {
  const { data: times, error } = useQuery({ queryKey: ["item", "ai-catalog", "pipelines", id, "schedule"], queryFn: ({ signal }) => get<Times>(`${path}/schedule`, { signal }), refetchInterval: 15_000, retry: false });
  return (
    <section aria-label={t("Schedule")}>
      <Title order={2} mb="xs">{t("Schedule")}</Title>
      {error && <Trouble error={error} />}
      {times && (
        <Stack gap={4}>
          <Group gap="sm">
            <Code>{times.cron}</Code><Text size="sm" c="dimmed">{times.timezone}</Text><State value={times.state} />
            {times.schedule && <Anchor component={Link} to="/runs/automation" size="sm">{t("Turn on or off")}</Anchor>}
          </Group>
          {times.next_at.length > 0 && <Text size="sm">{t("Next: {next_at}", { next_at: times.next_at.map((time) => new Date(time).toLocaleString()).join(" · ") })}</Text>}
          {times.last_tick && <Text size="sm">{rich("Last evaluation {time}{message}", { time: <Time value={times.last_tick.at} />, message: times.last_tick.message && `: ${times.last_tick.message}` })}</Text>}
        </Stack>
      )}
    </section>
  );
}

function Parameters({ parameters }: { parameters: Record<string, Parameter> }) {
  return (
    <section aria-label={t("Parameters")}>
      <Title order={2} mb="xs">{t("Parameters")}</Title>
      <Table.ScrollContainer minWidth={480}>
        <Table verticalSpacing={4}>
          <Table.Thead><Table.Tr><Table.Th>{t("Name")}</Table.Th><Table.Th>{t("Type")}</Table.Th><Table.Th>{t("Default")}</Table.Th><Table.Th>{t("Sets")}</Table.Th></Table.Tr></Table.Thead>
          <Table.Tbody>
            {Object.entries(parameters).map(([name, parameter]) => (
              <Table.Tr key={name}>
                <Table.Td>{name}{parameter.description && <Text size="xs" c="dimmed">{parameter.description}</Text>}</Table.Td>
                <Table.Td>{parameter.type.toLowerCase()}{parameter.allowed.length > 0 && `: ${parameter.allowed.join(", ")}`}</Table.Td>
                <Table.Td>{parameter.default === null ? t("Each run gives a value") : String(parameter.default)}</Table.Td>
                <Table.Td>{parameter.targets.map((target) => `${target.asset}: ${target.field}`).join(", ")}</Table.Td>
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      </Table.ScrollContainer>
    </section>
  );
}

function Runs({ pipeline }: { pipeline: string }) {
  const { pages, runs, added } = useRuns({ pipeline }, PAGE_SIZE);
  return (
    <section aria-label={t("Runs")}>
      <Group gap="sm" mb="xs"><Title order={2}>{t("Runs")}</Title><NewPill count={added} noun={[t("run"), t("runs")]} onShow={() => void pages.refetch()} /></Group>
      {pages.error && <Trouble error={pages.error} retry={() => pages.refetch()} />}
      {pages.data && !runs.length && <Text size="sm" c="dimmed">{t("The pipeline has not run yet.")}</Text>}
      {runs.length > 0 && <RunTable runs={runs} label={t("Runs of the pipeline")} busy={pages.isFetching} />}
      {pages.hasNextPage && <Button size="xs" variant="default" loading={pages.isFetchingNextPage} onClick={() => void pages.fetchNextPage()}>{t("Show older runs")}</Button>}
    </section>
  );
}

function Settings({ pipeline }: { pipeline: Pipeline }) {
  const { data: document } = useQuery(openApi("ai-catalog"));
  const { data: found } = useQuery(catalogues);
  const kind = found && kindOf(found, "ai-catalog", "pipelines");
  const result = kind?.methods.find((method) => method.verb === "get")?.result;
  const schema = document?.components.schemas[result ?? ""];
  return document && schema ? <Fields item={pipeline} schema={schema} schemas={document.components.schemas} /> : null;
}

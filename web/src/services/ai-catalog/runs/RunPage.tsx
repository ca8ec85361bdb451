import { Alert, Anchor, Breadcrumbs, Button, Code, CopyButton, Group, Stack, Tabs, Text, Title, UnstyledButton } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { lazy, Suspense, useEffect } from "react";
import { useLive } from "../../../api/live";
import { useLog } from "../../../api/log";
import { rich, t } from "../../../language/text";
import { span } from "../../../ui/duration";
import { Log } from "../../../ui/Log";
import type { LogFilter } from "../../../ui/logLines";
import { useSeconds } from "../../../ui/now";
import { State } from "../../../ui/State";
import { Time } from "../../../ui/Time";
import { Trouble } from "../../../ui/Trouble";
import { Gantt } from "./Gantt";
import { RunButtons } from "./RunButtons";
import { failedStep, graph, isFinal, reason, run, RUNS, starter, steps, target } from "./runs";
import { Versions } from "./Versions";

const RunGraph = lazy(async () => ({ default: (await import("./RunGraph")).RunGraph }));

export interface RunSearch extends LogFilter {
  view?: string;
}

/** One run: its steps over time, its graph, its log, and the versions that it read and wrote. */
export function RunPage() {
  const { id } = useParams({ from: "/runs/$id" });
  const search = useSearch({ from: "/runs/$id" });
  const navigate = useNavigate({ from: "/runs/$id" });
  const found = useQuery(run(id));
  const one = found.data;
  const ended = one ? isFinal(one.state) : false;
  const parts = useQuery({ ...steps(id, ended), enabled: Boolean(one) });
  const drawn = useQuery({ ...graph(id, ended), enabled: Boolean(one) });
  const log = useLog(one ? `${RUNS}/${encodeURIComponent(id)}/logs` : null, () => void found.refetch());
  useLive(["ai_catalog.asset"], ["asset-run", id]);
  const now = useSeconds(!ended);
  const all = parts.data?.steps ?? [];
  const failed = failedStep(all);
  const change = (changed: RunSearch) => void navigate({ search: (before) => ({ ...before, ...changed }), replace: true });
  const hasStep = search.step !== undefined;
  useEffect(() => {
    // People who open a failed run want to see the step that failed. "Show all steps" is in the address, too.
    if (ended && failed && !hasStep) change({ step: failed.name });
  }, [ended, failed?.name, hasStep]);
  if (found.error) return <Trouble error={found.error} retry={() => found.refetch()} />;
  if (!one) return null;
  const why = reason(one, all);
  const filter: LogFilter = { level: search.level, text: search.text, step: search.step === ALL ? undefined : search.step };
  const from = Date.parse(one.started_at ?? one.created_at ?? "");
  const view = search.view ?? "steps";
  return (
    <Stack gap="md">
      <Breadcrumbs>
        <Anchor component={Link} to="/runs" size="sm">{t("Runs")}</Anchor>
        <Text size="sm" ff="monospace">{id.slice(0, 8)}</Text>
      </Breadcrumbs>
      <Group justify="space-between" align="flex-start">
        <div style={{ minWidth: 0 }}>
          <Group gap="sm"><Title order={1} style={{ overflowWrap: "anywhere" }}>{target(one)}</Title><State value={one.state} /></Group>
          <CopyButton value={id}>
            {({ copied, copy }) => <UnstyledButton onClick={copy} title={t("Copy the id")}><Code style={{ overflowWrap: "anywhere" }}>{copied ? t("Copied") : id}</Code></UnstyledButton>}
          </CopyButton>
          <Text size="sm" c="dimmed" mt={4}>
            {starter(one)}{one.created_at && rich(", requested {time}", { time: <Time value={one.created_at} /> })}
            {one.started_at && <>, {ended ? t("took") : t("runs for")} {span(one.started_at, one.ended_at, now)}</>}
            {one.partition && t(", partition {partition}", { partition: one.partition })}
          </Text>
          <Group gap="md" mt={4}>
            {one.operation && <Anchor component={Link} to={`/operations/operations/${one.operation}`} size="sm">{t("Operation")}</Anchor>}
            {one.pipeline_id && <Anchor component={Link} to={`/ai-catalog/pipelines/${one.pipeline_id}`} size="sm">{t("Pipeline")}</Anchor>}
            {one.retry_of && <Anchor component={Link} to={`/runs/${one.retry_of}`} size="sm">{t("Run that it retries")}</Anchor>}
          </Group>
        </div>
        <RunButtons run={one} />
      </Group>
      {why && (
        <Alert color="red" variant="light" role="alert" title={t("The run failed")}>
          <Text size="sm" style={{ overflowWrap: "anywhere" }}>{why}</Text>
        </Alert>
      )}
      <Tabs value={view} onChange={(chosen) => change({ view: chosen === "steps" ? undefined : (chosen ?? undefined) })} keepMounted={false}>
        <Tabs.List>
          <Tabs.Tab value="steps">{t("Steps")}</Tabs.Tab>
          <Tabs.Tab value="graph">{t("Graph")}</Tabs.Tab>
          <Tabs.Tab value="versions">{t("Versions")}</Tabs.Tab>
        </Tabs.List>
        <Tabs.Panel value="steps" pt="sm">
          {parts.error && <Trouble error={parts.error} retry={() => parts.refetch()} />}
          {parts.data && !all.length && <Text size="sm" c="dimmed">{ended ? t("The run ended before a step began.") : t("No step has begun yet.")}</Text>}
          <Gantt steps={all} from={from} to={one.ended_at ? Date.parse(one.ended_at) : now} now={now} chosen={filter.step} onChoose={(step) => change({ step: step ?? ALL })} />
        </Tabs.Panel>
        <Tabs.Panel value="graph" pt="sm"><Suspense>{drawn.data && <RunGraph graph={drawn.data} />}</Suspense></Tabs.Panel>
        <Tabs.Panel value="versions" pt="sm">
          {drawn.error && <Trouble error={drawn.error} retry={() => drawn.refetch()} />}
          {drawn.data && <Versions graph={drawn.data} />}
        </Tabs.Panel>
      </Tabs>
      {view !== "versions" && (
        <section aria-label={t("Log of the run")}>
          <Group justify="space-between" mb="xs">
            <Title order={2}>{t("Log")}</Title>
            {filter.step && <Button size="compact-xs" variant="subtle" onClick={() => change({ step: ALL })}>{t("Show all steps")}</Button>}
          </Group>
          <Log log={log} filter={filter} onFilter={(changed) => change({ ...changed, step: changed.step ?? ALL })} steps={all.map((step) => step.name)} />
        </section>
      )}
    </Stack>
  );
}

/** In the address: no step is chosen, not even the one that failed. */
const ALL = "all";

import { Anchor, Breadcrumbs, Button, Checkbox, Group, Select, Skeleton, Stack, Table, Text, TextInput, Title } from "@mantine/core";
import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { type FormEvent, useState } from "react";
import { send } from "../../../api/http";
import { OperationButton } from "../../../kernel/OperationButton";
import { rich, t } from "../../../language/text";
import { State } from "../../../ui/State";
import { Time } from "../../../ui/Time";
import { Trouble } from "../../../ui/Trouble";
import { short } from "../models/models";
import { experiment, type RunPage, summary } from "./experiments";
import { RunComparison } from "./RunComparison";

export interface ExperimentSearch {
  /** Filter in the language of MLflow. */
  filter?: string;
  /** Name of the metric to order by. */
  best?: string;
  order?: "lowest" | "highest";
  /** Ids of the runs to compare, with commas between them. */
  runs?: string;
  metric?: string;
}

const ROUTE = "/ai-catalog/experiments/$id" as const;
const COLUMNS = 4;
const MAX = 20;

/** An experiment: its runs with their metrics, and a comparison of those that are chosen. */
export function ExperimentPage() {
  const { id } = useParams({ from: ROUTE });
  const search = useSearch({ from: ROUTE });
  const navigate = useNavigate({ from: ROUTE });
  const found = useQuery(experiment(id));
  const { data: known } = useQuery(summary(id));
  const [text, setText] = useState(search.filter ?? "");
  const order = search.best ? [`metrics.\`${search.best}\` ${search.order === "lowest" ? "ASC" : "DESC"}`] : [];
  const pages = useInfiniteQuery({
    queryKey: ["experiment-runs", found.data?.body.id, search.filter, order],
    queryFn: async ({ pageParam, signal }) => {
      const body = { experiments: [found.data?.body.id], filter: search.filter ?? "", order_by: order, page_size: 100, page_token: pageParam };
      return (await send<RunPage>("POST", "/api/v1/ai-catalog/runs:search", { body, signal })).body;
    },
    initialPageParam: "",
    getNextPageParam: (page) => page.next_page_token || undefined,
    enabled: found.isSuccess,
    retry: false,
  });
  const shown = found.data?.body;
  const runs = pages.data?.pages.flatMap((page) => page.items) ?? [];
  const chosen = search.runs?.split(",").filter(Boolean) ?? [];
  const keys = (known?.metrics ?? []).filter((one) => !one.key.startsWith("baseline_")).sort((one, other) => other.runs - one.runs || one.key.localeCompare(other.key)).map((one) => one.key);
  const columns = [...new Set([...(search.best ? [search.best] : []), ...keys])].slice(0, COLUMNS);
  const change = (changed: ExperimentSearch) => void navigate({ search: (before) => ({ ...before, ...changed }), replace: true });
  const choose = (run: string) => {
    const next = chosen.includes(run) ? chosen.filter((one) => one !== run) : [...chosen, run].slice(-MAX);
    change({ runs: next.join(",") || undefined });
  };
  return (
    <Stack gap="md">
      <Breadcrumbs>
        <Anchor size="sm" renderRoot={(props) => <Link {...props} to="/experiments" search={{}} />}>{t("Experiments")}</Anchor>
        <Text size="sm">{shown?.spec.title ?? id}</Text>
      </Breadcrumbs>
      {found.error && <Trouble error={found.error} retry={() => found.refetch()} />}
      {found.isPending && <Skeleton height={200} />}
      {shown && found.data && (
        <>
          <Group justify="space-between" align="flex-start">
            <div>
              <Title order={1}>{shown.spec.title}</Title>
              <Text size="sm" c="dimmed">{shown.spec.description}</Text>
            </div>
            <Group gap="xs">
              <OperationButton service="ai-catalog" plural="experiments" verb="update" id={shown.id} item={shown} etag={found.data.etag} onDone={() => void found.refetch()} />
              <OperationButton service="ai-catalog" plural="experiments" verb="delete" id={shown.id} item={shown} etag={found.data.etag} onDone={() => void navigate({ to: "/experiments", search: {} })} />
            </Group>
          </Group>
          {known && <Group gap="xs">{Object.entries(known.runs).map(([state, count]) => <State key={state} value={state}>{count} {state.toLowerCase()}</State>)}</Group>}
          <Group component="form" gap="sm" align="flex-end" onSubmit={(event: FormEvent) => { event.preventDefault(); change({ filter: text.trim() || undefined }); }}>
            <TextInput label={t("Filter")} flex={1} miw={220} ff="monospace" placeholder="metrics.auc > 0.7 AND params.seed = '1'" value={text} onChange={(event) => setText(event.currentTarget.value)} />
            <Select label={t("Best by")} searchable clearable data={keys} value={search.best ?? null} onChange={(best) => change({ best: best ?? undefined })} />
            <Select label={t("Best is")} w={120} allowDeselect={false} disabled={!search.best} data={["highest", "lowest"]} value={search.order ?? "highest"} onChange={(value) => change({ order: value === "lowest" ? "lowest" : undefined })} />
          </Group>
          {pages.error && <Trouble error={pages.error} retry={() => pages.refetch()} />}
          {pages.isPending && <Skeleton height={120} />}
          {runs.length > 0 && (
            <Table.ScrollContainer minWidth={640}>
              <Table verticalSpacing={4} highlightOnHover>
                <Table.Thead>
                  <Table.Tr>
                    <Table.Th w={40}><span style={{ position: "absolute", clipPath: "inset(50%)" }}>{t("Compare")}</span></Table.Th>
                    <Table.Th>{t("Run")}</Table.Th><Table.Th>{t("Status")}</Table.Th><Table.Th>{t("Started")}</Table.Th>
                    {columns.map((key) => <Table.Th key={key} ta="right">{key}</Table.Th>)}
                  </Table.Tr>
                </Table.Thead>
                <Table.Tbody>
                  {runs.map((one) => (
                    <Table.Tr key={one.id}>
                      <Table.Td><Checkbox size="xs" aria-label={t("Compare {name}", { name: one.name })} checked={chosen.includes(one.id)} onChange={() => choose(one.id)} /></Table.Td>
                      <Table.Td><Anchor size="sm" renderRoot={(props) => <Link {...props} to="/ai-catalog/runs/$id" params={{ id: one.id }} search={{}} />}>{one.name}</Anchor></Table.Td>
                      <Table.Td><State value={one.status} /></Table.Td>
                      <Table.Td>{rich("{time} by {created_by}", { time: <Time value={one.started_at} />, created_by: one.created_by })}</Table.Td>
                      {columns.map((key) => <Table.Td key={key} ta="right" style={{ fontVariantNumeric: "tabular-nums" }}>{short(one.metrics[key]?.value)}</Table.Td>)}
                    </Table.Tr>
                  ))}
                </Table.Tbody>
              </Table>
            </Table.ScrollContainer>
          )}
          {pages.isSuccess && !runs.length && <Text c="dimmed" ta="center" py="xl">{search.filter ? t("No run matches this filter.") : t("This experiment has no runs yet.")}</Text>}
          {pages.hasNextPage && <Button variant="default" loading={pages.isFetchingNextPage} onClick={() => pages.fetchNextPage()}>{t("Show more")}</Button>}
          {chosen.length === 1 && <Text size="sm" c="dimmed">{t("Choose another run to compare the two.")}</Text>}
          {chosen.length > 1 && <RunComparison ids={chosen} metric={search.metric} onMetric={(metric) => change({ metric })} onClear={() => change({ runs: undefined })} />}
        </>
      )}
    </Stack>
  );
}

import { Button, Group, Select, Stack, Text, TextInput, Title } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { useMemo, useState } from "react";
import { t } from "../../../language/text";
import { NewPill } from "../../../ui/NewPill";
import { Trouble } from "../../../ui/Trouble";
import { assets } from "../assets";
import { projectOf } from "../lineage/graph";
import { RunsTabs } from "./RunsTabs";
import { RunTable } from "./RunTable";
import { ORIGINS, type RunsSearch, SINCE, STATES } from "./runs";
import { useRuns } from "./useRuns";

const PAGE_SIZE = 50;
const AGES: Record<keyof typeof SINCE, string> = { "1h": t("Last hour"), "24h": t("Last 24 hours"), "7d": t("Last 7 days"), "30d": t("Last 30 days") };

/** Everything that ran: by schedules, sensors, requests, and in Dagster. */
export function RunsPage() {
  const search = useSearch({ from: "/runs" });
  const navigate = useNavigate({ from: "/runs" });
  const { pages, runs, added } = useRuns(search, PAGE_SIZE);
  const { data: known } = useQuery(assets);
  const ids = useMemo(() => [...(known?.keys() ?? [])], [known]);
  const projects = useMemo(() => [...new Set(ids.map(projectOf))].sort(), [ids]);
  const [by, setBy] = useState(search.by ?? "");
  const change = (changed: RunsSearch) => void navigate({ search: (before) => ({ ...before, ...changed }), replace: true });
  const filtered = Object.values(search).some(Boolean);
  return (
    <Stack gap="md">
      <Group justify="space-between">
        <Title order={1}>{t("Runs")}</Title>
        <NewPill count={added} noun={[t("run"), t("runs")]} onShow={() => void pages.refetch()} />
      </Group>
      <RunsTabs active="/runs" />
      <Group gap="xs" align="flex-end">
        <Select label={t("State")} placeholder={t("All")} clearable w={140} data={STATES.map((value) => ({ value, label: value.charAt(0) + value.slice(1).toLowerCase() }))} value={search.state ?? null} onChange={(state) => change({ state: state ?? undefined })} />
        <Select label={t("Started by")} placeholder={t("Anything")} clearable w={180} data={Object.entries(ORIGINS).map(([value, label]) => ({ value, label }))} value={search.origin ?? null} onChange={(origin) => change({ origin: origin ?? undefined })} />
        <form onSubmit={(event) => { event.preventDefault(); change({ by: by.trim() || undefined }); }}>
          <TextInput label={t("User, schedule, or sensor")} placeholder={t("Name")} w={200} value={by} onChange={(event) => setBy(event.currentTarget.value)} onBlur={() => change({ by: by.trim() || undefined })} />
        </form>
        <Select label={t("Project")} placeholder={t("All")} clearable searchable w={160} data={projects} value={search.project ?? null} onChange={(project) => change({ project: project ?? undefined })} />
        <Select label={t("Asset")} placeholder={t("All")} clearable searchable limit={50} w={260} data={ids} value={search.asset ?? null} onChange={(asset) => change({ asset: asset ?? undefined })} />
        <Select label={t("Time")} placeholder={t("Any time")} clearable w={160} data={Object.entries(AGES).map(([value, label]) => ({ value, label }))} value={search.since ?? null} onChange={(since) => change({ since: since ?? undefined })} />
        {filtered && <Button variant="subtle" onClick={() => { setBy(""); void navigate({ search: {}, replace: true }); }}>{t("Clear filters")}</Button>}
      </Group>
      {pages.error && <Trouble error={pages.error} retry={() => pages.refetch()} />}
      {pages.data && !runs.length && (
        <Text c="dimmed">{filtered ? t("No run matches the filters.") : t("Nothing has run yet. Open an asset and materialize it, or start a schedule.")}</Text>
      )}
      {(runs.length > 0 || pages.isPending) && <RunTable runs={runs} label={t("Runs")} busy={pages.isFetching} />}
      {pages.hasNextPage && (
        <Group><Button variant="default" loading={pages.isFetchingNextPage} onClick={() => void pages.fetchNextPage()}>{t("Show older runs")}</Button></Group>
      )}
    </Stack>
  );
}

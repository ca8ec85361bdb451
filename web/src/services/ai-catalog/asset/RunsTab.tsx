import { Button, Group, Skeleton, Stack, Table, Text } from "@mantine/core";
import { queryOptions, useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { get } from "../../../api/http";
import { t } from "../../../language/text";
import { span } from "../../../ui/duration";
import { State } from "../../../ui/State";
import { Time } from "../../../ui/Time";
import { Trouble } from "../../../ui/Trouble";
import { type Run, RUNS, type RunsPage, starter } from "../runs/runs";
import { RunLink } from "./AssetLink";

const ROUTE = "/ai-catalog/assets/$id" as const;

/** Lists have no reasons. Those of the newest runs are read one by one. */
const EXPLAINED = 10;

/** A run that failed, with the reason as far as the user may read it. */
export const failureQuery = (run: string | undefined) =>
  queryOptions({
    queryKey: ["failed run", run],
    queryFn: ({ signal }) => get<Run>(`${RUNS}/${run}`, { signal }),
    enabled: Boolean(run),
    staleTime: Number.POSITIVE_INFINITY,
    retry: false,
  });

/** Everything that ran for an asset, newest first, whoever or whatever started it. */
export function RunsTab({ id }: { id: string }) {
  const navigate = useNavigate({ from: ROUTE });
  const runs = useInfiniteQuery({
    queryKey: ["asset runs", id],
    queryFn: ({ pageParam, signal }) => get<RunsPage>(RUNS, { query: { asset: id, page_size: 50, page_token: pageParam }, signal }),
    initialPageParam: "",
    getNextPageParam: (page) => page.next_page_token || undefined,
    retry: false,
    refetchInterval: 5_000,
  });
  const items = runs.data?.pages.flatMap((page) => page.items) ?? [];
  return (
    <Stack gap="sm">
      {runs.error && <Trouble error={runs.error} retry={() => void runs.refetch()} />}
      {runs.isPending && <Skeleton h={120} />}
      {runs.data && !items.length && <Text c="dimmed">{t("Nothing has run for this asset that you can see.")}</Text>}
      {items.length > 0 && (
        <Table.ScrollContainer minWidth={560} type="native">
          <Table verticalSpacing={4} aria-label={t("Runs")}>
            <Table.Thead><Table.Tr><Table.Th>{t("State")}</Table.Th><Table.Th>{t("Requested")}</Table.Th><Table.Th ta="right">{t("Duration")}</Table.Th><Table.Th>{t("Started by")}</Table.Th><Table.Th>{t("What")}</Table.Th><Table.Th>{t("Run")}</Table.Th><Table.Th /></Table.Tr></Table.Thead>
            <Table.Tbody>
              {items.map((one, position) => (
                <Table.Tr key={one.id}>
                  <Table.Td><State value={one.state} /></Table.Td>
                  <Table.Td style={{ whiteSpace: "nowrap" }}>{one.created_at && <Time value={one.created_at} />}</Table.Td>
                  <Table.Td ta="right" style={{ whiteSpace: "nowrap" }}>{one.ended_at ? span(one.started_at, one.ended_at, 0) : "–"}</Table.Td>
                  <Table.Td>{starter(one)}</Table.Td>
                  <Table.Td style={{ overflowWrap: "anywhere" }}>{what(one)}{one.state === "FAILED" && position < EXPLAINED && <Reason run={one.id} />}</Table.Td>
                  <Table.Td><RunLink id={one.id} /></Table.Td>
                  <Table.Td>{one.operation && <Button size="compact-xs" variant="subtle" onClick={() => void navigate({ search: (before) => ({ ...before, operation: one.operation ?? undefined }) })}>{t("Progress and log")}</Button>}</Table.Td>
                </Table.Tr>
              ))}
            </Table.Tbody>
          </Table>
        </Table.ScrollContainer>
      )}
      {runs.hasNextPage && <Group><Button size="xs" variant="default" loading={runs.isFetchingNextPage} onClick={() => runs.fetchNextPage()}>{t("Show earlier ones")}</Button></Group>}
    </Stack>
  );
}

function Reason({ run }: { run: string }) {
  const { data } = useQuery(failureQuery(run));
  return data?.error ? <Text size="sm" c="var(--mantine-color-error)">{data.error}</Text> : null;
}

function what(run: Run): string {
  const scope = t("{count, plural, one {This asset} other {{count} assets}}", { count: run.assets.length });
  return [scope, run.partition && t("partition {partition}", { partition: run.partition }), run.retry_of && t("a retry")].filter(Boolean).join(", ");
}

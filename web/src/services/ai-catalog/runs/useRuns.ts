import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { get } from "../../../api/http";
import { useLive } from "../../../api/live";
import { isFinal, merged, parameters, RUNS, type RunsPage, type RunsSearch } from "./runs";

/** The runs of a list, with their present states, and how many newer ones there are. */
export function useRuns(search: RunsSearch & { pipeline?: string }, pageSize: number) {
  const read = (token: string | undefined, signal: AbortSignal) =>
    get<RunsPage>(RUNS, { query: { ...parameters(search, Date.now()), page_size: pageSize, page_token: token }, signal });
  const pages = useInfiniteQuery({
    queryKey: ["asset-runs", "list", search, pageSize],
    queryFn: ({ pageParam, signal }) => read(pageParam, signal),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (page) => page.next_page_token ?? undefined,
    // Rows don't move while people read them.
    staleTime: Number.POSITIVE_INFINITY,
    refetchOnWindowFocus: false,
    gcTime: 0,
    retry: false,
  });
  const listed = (pages.data?.pages ?? []).flatMap((page) => page.items);
  const newest = useQuery({
    queryKey: ["asset-runs", "newest", search, pageSize],
    queryFn: ({ signal }) => read(undefined, signal),
    enabled: pages.isSuccess,
    refetchInterval: ({ state }) => (state.data?.items.some((run) => !isFinal(run.state)) ? 3_000 : 15_000),
    retry: false,
  });
  useLive(["ai_catalog.asset", "operations.operation"], ["asset-runs", "newest"]);
  return { pages, ...merged(listed, newest.data?.items ?? []) };
}

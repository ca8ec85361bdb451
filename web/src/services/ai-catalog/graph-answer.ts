// The graph of all assets that the caller can see, in one answer.

import { queryOptions } from "@tanstack/react-query";
import type { AssetGraph } from "../../api/generated/ai-catalog";
import { get } from "../../api/http";

export const assetGraph = queryOptions({
  queryKey: ["asset-graph"],
  queryFn: ({ signal }) => get<AssetGraph>("/api/v1/ai-catalog/assets:graph", { signal }),
  staleTime: 10_000,
});

/** The part of a graph around an asset, for graphs that are too large for one answer. */
export const surroundingsOf = (focus: string, upstream: number, downstream: number) =>
  queryOptions({
    queryKey: ["asset-graph", focus, upstream, downstream],
    queryFn: ({ signal }) => get<AssetGraph>("/api/v1/ai-catalog/assets:graph", { query: { focus, upstream, downstream }, signal }),
    staleTime: 10_000,
  });

// All assets that the caller can see.

import { queryOptions } from "@tanstack/react-query";
import { get } from "../../api/http";

export interface Asset {
  id: string;
  description: string;
  kinds: string[];
  owners: string[];
  health: string;
  health_reasons: string[];
  staleness: string;
  staleness_causes: string[];
  materialized_at: string | null;
  data_version: string | null;
  row_count: number | null;
  upstream: string[];
  downstream: string[];
  runs_in_progress: string[];
}

interface Page {
  items: Asset[];
  next_page_token: string | null;
}

export const assets = queryOptions({
  queryKey: ["assets"],
  queryFn: async ({ signal }) => {
    const found = new Map<string, Asset>();
    let token: string | null = "";
    while (token !== null) {
      const page: Page = await get<Page>("/api/v1/ai-catalog/assets", { query: { page_size: 1000, page_token: token }, signal });
      for (const asset of page.items) found.set(asset.id, asset);
      token = page.next_page_token || null;
    }
    return found;
  },
  refetchInterval: 10_000,
});

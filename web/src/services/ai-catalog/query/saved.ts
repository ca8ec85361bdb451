// Saved queries of the projects that the caller can see.

import type { SavedQuery as Saved } from "../../../api/generated/ai-catalog";
import type { Project } from "../../../api/generated/admin";
import { queryOptions } from "@tanstack/react-query";
import { get, send } from "../../../api/http";

export const PATH = "/api/v1/ai-catalog/saved-queries";

export const savedQuery = (id: string) =>
  queryOptions({
    queryKey: ["item", "ai-catalog", "saved-queries", id],
    queryFn: ({ signal }) => send<Saved>("GET", `${PATH}/${encodeURIComponent(id)}`, { signal }),
    retry: false,
  });

export const savedQueries = queryOptions({
  queryKey: ["items", "ai-catalog", "saved-queries", "all"],
  queryFn: async ({ signal }) => {
    const found: Saved[] = [];
    let token: string | null = "";
    while (token !== null) {
      const page: { items: Saved[]; next_page_token: string | null } = await get(PATH, { query: { page_size: 200, page_token: token }, signal });
      found.push(...page.items);
      token = page.next_page_token || null;
    }
    return found;
  },
});

export const projects = queryOptions({
  queryKey: ["items", "admin", "projects", "all"],
  queryFn: async ({ signal }) => (await get<{ items: Project[] }>("/api/v1/admin/projects", { query: { page_size: 1000 }, signal })).items,
});

/** A name for the URL from a title. */
export function nameOf(title: string): string {
  const letters = title.normalize("NFKD").toLowerCase().replaceAll(/[^a-z0-9]+/g, "-").replaceAll(/^[^a-z]+|-+$/g, "");
  return letters.slice(0, 60).replace(/-+$/, "") || "query";
}

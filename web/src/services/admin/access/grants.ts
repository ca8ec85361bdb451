import { infiniteQueryOptions } from "@tanstack/react-query";
import type { GrantPage } from "../../../api/generated/admin";
import { get } from "../../../api/http";

const PAGE = 100;

/** Grants of which these fields have these values, newest first. */
export const grantsWhere = (fields: Record<string, string | undefined>) => {
  const filter = Object.entries(fields).flatMap(([name, value]) => (value ? `${name} == ${JSON.stringify(value)}` : [])).join(" && ");
  return infiniteQueryOptions({
    queryKey: ["items", "admin", "grants", filter],
    queryFn: ({ pageParam, signal }) => get<GrantPage>("/api/v1/admin/grants", { query: { filter, page_size: PAGE, page_token: pageParam }, signal }),
    initialPageParam: "",
    getNextPageParam: (page) => page.next_page_token || undefined,
    retry: false,
  });
};

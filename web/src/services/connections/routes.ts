// The pages of connections that are made by hand.

import { type AnyRoute, createRoute, lazyRouteComponent } from "@tanstack/react-router";
import type { ConnectionSearch } from "./ConnectionPage";

const text = (value: unknown): string | undefined => (typeof value === "string" && value ? value : undefined);

/** Their routes, below the root. */
export function connections<Root extends AnyRoute>(root: Root) {
  const getParentRoute = () => root;
  return [
    createRoute({
      getParentRoute,
      path: "/connections/connections/new",
      component: lazyRouteComponent(() => import("./NewConnectionPage"), "NewConnectionPage"),
      validateSearch: (search: Record<string, unknown>): { type?: string } => ({ type: text(search.type) }),
    }),
    createRoute({
      getParentRoute,
      path: "/connections/connections/$id",
      component: lazyRouteComponent(() => import("./ConnectionPage"), "ConnectionPage"),
      validateSearch: (search: Record<string, unknown>): ConnectionSearch => ({ tab: text(search.tab), below: Array.isArray(search.below) ? search.below.map(String) : undefined }),
    }),
  ];
}

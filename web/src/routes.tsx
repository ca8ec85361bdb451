import { Text } from "@mantine/core";
import { createRootRoute, createRoute, createRouter, lazyRouteComponent } from "@tanstack/react-router";
import { BASE } from "./api/http";
import type { ListSearch } from "./kernel/ItemList";
import { assetSearch } from "./services/ai-catalog/asset/search";
import { catalogSearch } from "./services/ai-catalog/catalog/search";
import type { LineageSearch } from "./services/ai-catalog/LineagePage";
import { Shell } from "./ui/Shell";
import { Trouble } from "./ui/Trouble";

const root = createRootRoute({
  component: Shell,
  notFoundComponent: () => <Text>There is no page at this address.</Text>,
  errorComponent: ({ error, reset }) => <Trouble error={error} retry={reset} />,
});

const text = (value: unknown): string | undefined => (typeof value === "string" && value ? value : undefined);

const home = createRoute({ getParentRoute: () => root, path: "/", component: lazyRouteComponent(() => import("./services/home/HomePage"), "HomePage") });
const lineage = createRoute({
  getParentRoute: () => root,
  path: "/lineage",
  component: lazyRouteComponent(() => import("./services/ai-catalog/LineagePage"), "LineagePage"),
  validateSearch: (search: Record<string, unknown>): LineageSearch => ({
    focus: text(search.focus),
    project: text(search.project),
    text: text(search.text),
  }),
});
const query = createRoute({
  getParentRoute: () => root,
  path: "/query",
  component: lazyRouteComponent(() => import("./services/ai-catalog/QueryPage"), "QueryPage"),
  validateSearch: (search: Record<string, unknown>): { sql?: string } => ({ sql: text(search.sql) }),
});
const catalog = createRoute({
  getParentRoute: () => root,
  path: "/assets",
  component: lazyRouteComponent(() => import("./services/ai-catalog/catalog/AssetsPage"), "AssetsPage"),
  validateSearch: catalogSearch,
});
const asset = createRoute({
  getParentRoute: () => root,
  path: "/ai-catalog/assets/$id",
  component: lazyRouteComponent(() => import("./services/ai-catalog/asset/AssetPage"), "AssetPage"),
  validateSearch: assetSearch,
});
const account = createRoute({
  getParentRoute: () => root,
  path: "/account",
  component: lazyRouteComponent(() => import("./services/admin/account/AccountPage"), "AccountPage"),
});
const list = createRoute({
  getParentRoute: () => root,
  path: "/$service/$plural",
  component: lazyRouteComponent(() => import("./kernel/ItemList"), "ItemList"),
  validateSearch: (search: Record<string, unknown>): ListSearch => ({
    filter: text(search.filter),
    order_by: text(search.order_by),
    columns: text(search.columns),
  }),
});
const create = createRoute({ getParentRoute: () => root, path: "/$service/$plural/new", component: lazyRouteComponent(() => import("./kernel/NewItem"), "NewItem") });
const item = createRoute({
  getParentRoute: () => root,
  path: "/$service/$plural/$id",
  component: lazyRouteComponent(() => import("./kernel/Item"), "Item"),
  validateSearch: (search: Record<string, unknown>): { tab?: string } => ({ tab: text(search.tab) }),
});

// One page a line, so that two changes of the list meet without a conflict.
const pages = [
  home,
  account,
  lineage,
  query,
  catalog,
  asset,
  list,
  create,
  item,
];

export const router = createRouter({ routeTree: root.addChildren(pages), basepath: BASE || "/", defaultPreload: "intent" });

declare module "@tanstack/react-router" {
  interface Register {
    router: typeof router;
  }
}

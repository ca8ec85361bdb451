import { Text } from "@mantine/core";
import { createRootRoute, createRoute, createRouter } from "@tanstack/react-router";
import { Item } from "./kernel/Item";
import { ItemList, type ListSearch } from "./kernel/ItemList";
import { NewItem } from "./kernel/NewItem";
import { Shell } from "./ui/Shell";
import { Start } from "./ui/Start";
import { Trouble } from "./ui/Trouble";

const root = createRootRoute({
  component: Shell,
  notFoundComponent: () => <Text>There is no page at this address.</Text>,
  errorComponent: ({ error, reset }) => <Trouble error={error} retry={reset} />,
});

const text = (value: unknown): string | undefined => (typeof value === "string" && value ? value : undefined);

const start = createRoute({ getParentRoute: () => root, path: "/", component: Start });
const list = createRoute({
  getParentRoute: () => root,
  path: "/$service/$plural",
  component: ItemList,
  validateSearch: (search: Record<string, unknown>): ListSearch => ({
    filter: text(search.filter),
    order_by: text(search.order_by),
    columns: text(search.columns),
  }),
});
const create = createRoute({ getParentRoute: () => root, path: "/$service/$plural/new", component: NewItem });
const item = createRoute({
  getParentRoute: () => root,
  path: "/$service/$plural/$id",
  component: Item,
  validateSearch: (search: Record<string, unknown>): { tab?: string } => ({ tab: text(search.tab) }),
});

export const router = createRouter({ routeTree: root.addChildren([start, list, create, item]), basepath: "/console", defaultPreload: "intent" });

declare module "@tanstack/react-router" {
  interface Register {
    router: typeof router;
  }
}

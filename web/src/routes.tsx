import { createRootRoute, createRoute, createRouter, lazyRouteComponent, redirect } from "@tanstack/react-router";
import { BASE } from "./api/http";
import { queries } from "./api/queries";
import type { ListSearch } from "./kernel/ItemList";
import { assetSearch } from "./services/ai-catalog/asset/search";
import { catalogSearch } from "./services/ai-catalog/catalog/search";
import type { DefinitionSearch, NewDefinitionSearch } from "./services/ai-catalog/definitions/DefinitionPage";
import type { DefinitionsSearch } from "./services/ai-catalog/definitions/DefinitionsPage";
import type { View } from "./services/ai-catalog/definitions/Editor";
import type { ExperimentSearch } from "./services/ai-catalog/experiments/ExperimentPage";
import type { ExperimentsSearch } from "./services/ai-catalog/experiments/ExperimentsPage";
import type { RunSearch } from "./services/ai-catalog/experiments/RunPage";
import type { ModelSearch } from "./services/ai-catalog/models/ModelPage";
import type { ModelsSearch } from "./services/ai-catalog/models/ModelsPage";
import type { RoundsSearch } from "./services/ai-catalog/rounds/RoundsPage";
import type { AskSearch } from "./services/rag/AskPage";
import { assetGraph } from "./services/ai-catalog/graph-answer";
import { lineageSearch } from "./services/ai-catalog/lineage/search";
import { querySearch } from "./services/ai-catalog/query/search";
import type { RunSearch as AssetRunSearch } from "./services/ai-catalog/runs/RunPage";
import type { RunsSearch } from "./services/ai-catalog/runs/runs";
import type { LogFilter } from "./ui/logLines";
import { administration } from "./services/admin/routes";
import { connections } from "./services/connections/routes";
import { NoPage } from "./ui/NoPage";
import { Shell } from "./ui/Shell";
import { Trouble } from "./ui/Trouble";

const root = createRootRoute({
  component: Shell,
  notFoundComponent: NoPage,
  errorComponent: ({ error, reset }) => <Trouble error={error} retry={reset} />,
});

const text = (value: unknown): string | undefined => (typeof value === "string" && value ? value : undefined);

const home = createRoute({ getParentRoute: () => root, path: "/", component: lazyRouteComponent(() => import("./services/home/HomePage"), "HomePage") });
const lineage = createRoute({
  getParentRoute: () => root,
  path: "/lineage",
  component: lazyRouteComponent(() => import("./services/ai-catalog/lineage/LineagePage"), "LineagePage"),
  validateSearch: lineageSearch,
  loader: () => void queries.prefetchQuery(assetGraph),
});
const query = createRoute({
  getParentRoute: () => root,
  path: "/query",
  component: lazyRouteComponent(() => import("./services/ai-catalog/query/QueryPage"), "QueryPage"),
  validateSearch: querySearch,
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
const runs = createRoute({
  getParentRoute: () => root,
  path: "/runs",
  component: lazyRouteComponent(() => import("./services/ai-catalog/runs/RunsPage"), "RunsPage"),
  validateSearch: (search: Record<string, unknown>): RunsSearch => ({
    state: text(search.state),
    origin: text(search.origin),
    asset: text(search.asset),
    project: text(search.project),
    by: text(search.by),
    since: text(search.since),
  }),
});
const automation = createRoute({
  getParentRoute: () => root,
  path: "/runs/automation",
  component: lazyRouteComponent(() => import("./services/ai-catalog/runs/AutomationPage"), "AutomationPage"),
});
const logFilter = (search: Record<string, unknown>): LogFilter => ({ level: text(search.level), step: text(search.step), text: text(search.text) });
const runItem = createRoute({
  getParentRoute: () => root,
  path: "/runs/$id",
  component: lazyRouteComponent(() => import("./services/ai-catalog/runs/RunPage"), "RunPage"),
  validateSearch: (search: Record<string, unknown>): AssetRunSearch => ({ view: text(search.view), ...logFilter(search) }),
});
const assetRun = createRoute({
  getParentRoute: () => root,
  path: "/ai-catalog/asset-runs/$id",
  beforeLoad: ({ params }) => {
    throw redirect({ to: "/runs/$id", params, replace: true });
  },
});
const operation = createRoute({
  getParentRoute: () => root,
  path: "/operations/operations/$id",
  component: lazyRouteComponent(() => import("./services/ai-catalog/runs/OperationPage"), "OperationPage"),
  validateSearch: logFilter,
});
const newPipeline = createRoute({
  getParentRoute: () => root,
  path: "/ai-catalog/pipelines/new",
  component: lazyRouteComponent(() => import("./services/ai-catalog/runs/NewPipeline"), "NewPipeline"),
});
const pipeline = createRoute({
  getParentRoute: () => root,
  path: "/ai-catalog/pipelines/$id",
  component: lazyRouteComponent(() => import("./services/ai-catalog/runs/PipelinePage"), "PipelinePage"),
  validateSearch: (search: Record<string, unknown>): { tab?: string } => ({ tab: text(search.tab) }),
});
const list = createRoute({
  getParentRoute: () => root,
  path: "/$service/$plural",
  component: lazyRouteComponent(() => import("./kernel/ItemList"), "ItemList"),
  validateSearch: (search: Record<string, unknown>): ListSearch => ({
    filter: text(search.filter),
    order_by: text(search.order_by),
    columns: text(search.columns),
    peek: text(search.peek),
  }),
});
const NewItem = lazyRouteComponent(() => import("./kernel/NewItem"), "NewItem");
const create = createRoute({ getParentRoute: () => root, path: "/$service/$plural/new", component: NewItem });
/** The page of an item of these kinds hides the address of the form above. */
const forms = ["ai-catalog/registered-models", "ai-catalog/experiments", "ai-catalog/runs"].map((place) =>
  createRoute({ getParentRoute: () => root, path: `/${place}/new`, component: NewItem }),
);
const item = createRoute({
  getParentRoute: () => root,
  path: "/$service/$plural/$id",
  component: lazyRouteComponent(() => import("./kernel/Item"), "Item"),
  validateSearch: (search: Record<string, unknown>): { tab?: string } => ({ tab: text(search.tab) }),
});
const flag = (value: unknown): true | undefined => (value === true || value === "true" ? true : undefined);
const view = (value: unknown): View | undefined => (value === "yaml" ? "yaml" : undefined);
const definitions = createRoute({
  getParentRoute: () => root,
  path: "/definitions",
  component: lazyRouteComponent(() => import("./services/ai-catalog/definitions/DefinitionsPage"), "DefinitionsPage"),
  validateSearch: (search: Record<string, unknown>): DefinitionsSearch => ({
    project: text(search.project),
    component: text(search.component),
    retired: flag(search.retired),
  }),
});
const newDefinition = createRoute({
  getParentRoute: () => root,
  path: "/ai-catalog/definitions/new",
  component: lazyRouteComponent(() => import("./services/ai-catalog/definitions/DefinitionPage"), "NewDefinitionPage"),
  validateSearch: (search: Record<string, unknown>): NewDefinitionSearch => ({ component: text(search.component), view: view(search.view) }),
});
const definition = createRoute({
  getParentRoute: () => root,
  path: "/ai-catalog/definitions/$id",
  component: lazyRouteComponent(() => import("./services/ai-catalog/definitions/DefinitionPage"), "DefinitionPage"),
  validateSearch: (search: Record<string, unknown>): DefinitionSearch => ({ view: view(search.view), check: flag(search.check) }),
});

const number = (value: unknown): number | undefined => (Number.isFinite(Number(value)) && Number(value) > 0 ? Number(value) : undefined);
const models = createRoute({
  getParentRoute: () => root,
  path: "/models",
  component: lazyRouteComponent(() => import("./services/ai-catalog/models/ModelsPage"), "ModelsPage"),
  validateSearch: (search: Record<string, unknown>): ModelsSearch => ({ text: text(search.text) }),
});
const model = createRoute({
  getParentRoute: () => root,
  path: "/ai-catalog/registered-models/$id",
  component: lazyRouteComponent(() => import("./services/ai-catalog/models/ModelPage"), "ModelPage"),
  validateSearch: (search: Record<string, unknown>): ModelSearch => ({ tab: text(search.tab), version: number(search.version), inputs: text(search.inputs) }),
});
const experiments = createRoute({
  getParentRoute: () => root,
  path: "/experiments",
  component: lazyRouteComponent(() => import("./services/ai-catalog/experiments/ExperimentsPage"), "ExperimentsPage"),
  validateSearch: (search: Record<string, unknown>): ExperimentsSearch => ({ text: text(search.text) }),
});
const experiment = createRoute({
  getParentRoute: () => root,
  path: "/ai-catalog/experiments/$id",
  component: lazyRouteComponent(() => import("./services/ai-catalog/experiments/ExperimentPage"), "ExperimentPage"),
  validateSearch: (search: Record<string, unknown>): ExperimentSearch => ({
    filter: text(search.filter),
    best: text(search.best),
    order: search.order === "lowest" ? "lowest" : undefined,
    runs: text(search.runs),
    metric: text(search.metric),
  }),
});
const experimentRun = createRoute({
  getParentRoute: () => root,
  path: "/ai-catalog/runs/$id",
  component: lazyRouteComponent(() => import("./services/ai-catalog/experiments/RunPage"), "RunPage"),
  validateSearch: (search: Record<string, unknown>): RunSearch => ({ metrics: text(search.metrics) }),
});
const rounds = createRoute({
  getParentRoute: () => root,
  path: "/rounds",
  component: lazyRouteComponent(() => import("./services/ai-catalog/rounds/RoundsPage"), "RoundsPage"),
  validateSearch: (search: Record<string, unknown>): RoundsSearch => ({
    asset: text(search.asset),
    training: text(search.training),
    figure: text(search.figure),
    round: number(search.round),
  }),
});
const ask = createRoute({
  getParentRoute: () => root,
  path: "/ask",
  component: lazyRouteComponent(() => import("./services/rag/AskPage"), "AskPage"),
  validateSearch: (search: Record<string, unknown>): AskSearch => ({
    index: text(search.index),
    q: text(search.q),
    k: number(search.k),
    mode: search.mode === "vector" || search.mode === "text" ? search.mode : undefined,
    chunk: text(search.chunk),
    version: text(search.version),
  }),
});

// One page a line, so that two changes of the list meet without a conflict.
const pages = [
  home,
  account,
  lineage,
  query,
  catalog,
  asset,
  definitions,
  newDefinition,
  definition,
  models,
  model,
  experiments,
  experiment,
  experimentRun,
  rounds,
  ask,
  runs,
  automation,
  runItem,
  assetRun,
  operation,
  newPipeline,
  pipeline,
  ...administration(root),
  ...connections(root),
  list,
  create,
  ...forms,
  item,
];

export const router = createRouter({ routeTree: root.addChildren(pages), basepath: BASE || "/", defaultPreload: "intent" });

declare module "@tanstack/react-router" {
  interface Register {
    router: typeof router;
  }
}

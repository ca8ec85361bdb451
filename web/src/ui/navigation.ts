// The main pages, in the order of the navigation. Pages of the kinds of all services follow from the catalog.

export interface MainPage {
  to: string;
  label: string;
  description: string;
  /** Other paths that belong to it. */
  also?: string[];
}

export const MAIN_PAGES: MainPage[] = [
  { to: "/", label: "Home", description: "What needs attention, what changed, and what waits for you" },
  { to: "/assets", label: "Assets", description: "Search the catalog", also: ["/ai-catalog/assets"] },
  { to: "/lineage", label: "Lineage", description: "The graph of assets" },
  { to: "/query", label: "Query", description: "SQL over the lakehouse" },
  {
    to: "/models",
    label: "Models",
    description: "Registered models, their versions and predictions",
    also: ["/ai-catalog/registered-models", "/ai-catalog/model-versions", "/experiments", "/ai-catalog/experiments", "/ai-catalog/runs", "/rounds"],
  },
  { to: "/ask", label: "Ask", description: "Answers from an index, with citations" },
  { to: "/definitions", label: "Definitions", description: "Assets defined over REST: write, validate, and publish", also: ["/ai-catalog/definitions"] },
  {
    to: "/runs",
    label: "Runs",
    description: "Everything that ran, and what runs now",
    also: ["/ai-catalog/asset-runs", "/ai-catalog/pipelines", "/operations/operations"],
  },
  { to: "/admin", label: "Administration", description: "People, access, settings, and monitoring" },
];

/** The main page that a path belongs to. */
export function mainPageOf(path: string): MainPage | undefined {
  return MAIN_PAGES.find(({ to, also = [] }) => [to, ...also].some((one) => path === one || (one !== "/" && path.startsWith(`${one}/`))));
}

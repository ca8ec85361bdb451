// The main pages, in the order of the navigation. Pages of the kinds of all services follow from the catalog.

export interface MainPage {
  to: string;
  label: string;
  description: string;
}

export const MAIN_PAGES: MainPage[] = [
  { to: "/", label: "Home", description: "What needs attention, what changed, and what waits for you" },
  { to: "/assets", label: "Assets", description: "Search the catalog" },
  { to: "/lineage", label: "Lineage", description: "The graph of assets" },
  { to: "/query", label: "Query", description: "SQL over the lakehouse" },
  { to: "/models", label: "Models", description: "Registered models, their versions and predictions" },
  { to: "/definitions", label: "Definitions", description: "Assets defined over REST: write, validate, and publish" },
  { to: "/runs", label: "Runs", description: "Everything that ran, and what runs now" },
  { to: "/admin", label: "Administration", description: "People, access, settings, and monitoring" },
];

/** Whether a page is the one that a path belongs to. */
export function isAt(page: MainPage, path: string): boolean {
  return page.to === "/" ? path === "/" : path === page.to || path.startsWith(`${page.to}/`);
}

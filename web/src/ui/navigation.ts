// The main pages, in the order of the navigation. Pages of the kinds of all services follow from the catalog.

import { t } from "../language/text";

export interface MainPage {
  to: string;
  label: string;
  description: string;
  /** Other paths that belong to it. */
  also?: string[];
}

export const MAIN_PAGES: MainPage[] = [
  { to: "/", label: t("Home"), description: t("What needs attention, what changed, and what waits for you") },
  { to: "/assets", label: t("Assets"), description: t("Search the catalog"), also: ["/ai-catalog/assets"] },
  { to: "/lineage", label: t("Lineage"), description: t("The graph of assets") },
  { to: "/query", label: t("Query"), description: t("SQL over the lakehouse") },
  {
    to: "/models",
    label: t("Models"),
    description: t("Registered models, their versions and predictions"),
    also: ["/ai-catalog/registered-models", "/ai-catalog/model-versions", "/experiments", "/ai-catalog/experiments", "/ai-catalog/runs", "/rounds"],
  },
  { to: "/ask", label: t("Ask"), description: t("Answers from an index, with citations") },
  { to: "/definitions", label: t("Definitions"), description: t("Assets defined over REST: write, validate, and publish"), also: ["/ai-catalog/definitions"] },
  { to: "/connections/connections", label: t("Connections"), description: t("Databases and object stores, and whether they work"), also: ["/connections"] },
  {
    to: "/runs",
    label: t("Runs"),
    description: t("Everything that ran, and what runs now"),
    also: ["/ai-catalog/asset-runs", "/ai-catalog/pipelines", "/operations/operations"],
  },
  { to: "/admin", label: t("Administration"), description: t("People, access, settings, and monitoring") },
];

/** The main page that a path belongs to. */
export function mainPageOf(path: string): MainPage | undefined {
  return MAIN_PAGES.find(({ to, also = [] }) => [to, ...also].some((one) => path === one || (one !== "/" && path.startsWith(`${one}/`))));
}

// The choices of the catalog page, as its address holds them.

export const FACETS = ["health", "staleness", "project", "layer", "kind", "owner", "label"] as const;
export type Facet = (typeof FACETS)[number];

export interface CatalogSearch extends Partial<Record<Facet, string[]>> {
  q?: string;
  sort?: string;
  retired?: boolean;
}

const SORTS = ["name", "newest", "health"];

export function catalogSearch(search: Record<string, unknown>): CatalogSearch {
  const found: CatalogSearch = {};
  for (const facet of FACETS) {
    const value = search[facet];
    const values = (Array.isArray(value) ? value : [value]).filter((one) => typeof one === "string" && one !== "").map(String);
    if (values.length) found[facet] = values;
  }
  if (typeof search.q === "string" && search.q) found.q = search.q;
  else if (typeof search.q === "number") found.q = String(search.q);
  if (SORTS.includes(String(search.sort))) found.sort = String(search.sort);
  if (search.retired === true) found.retired = true;
  return found;
}

/** The search after a value of a facet was chosen, or chosen no more. */
export function toggled(search: CatalogSearch, facet: Facet, value: string): CatalogSearch {
  const before = search[facet] ?? [];
  const values = before.includes(value) ? before.filter((one) => one !== value) : [...before, value];
  return { ...search, [facet]: values.length ? values : undefined };
}

/** How many values are chosen. */
export function chosenCount(search: CatalogSearch): number {
  return FACETS.reduce((sum, facet) => sum + (search[facet]?.length ?? 0), 0);
}

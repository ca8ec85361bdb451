import { Spotlight, type SpotlightActionGroupData } from "@mantine/spotlight";
import { useDebouncedValue } from "@mantine/hooks";
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import type { SearchPage } from "../api/generated/ai-catalog";
import { get } from "../api/http";
import { type Catalogue, catalogues, method } from "../api/platform";
import { words } from "../api/schema";
import { t } from "../language/text";
import { MAIN_PAGES } from "./navigation";
import { useRecent } from "./recent";

const MAX_FOUND = 8;
const SEARCH_DELAY_MS = 150;

/** Finds pages, kinds, and items of the catalog, and begins what can be created. Ctrl K opens it. */
export function Palette() {
  const [query, setQuery] = useState("");
  const [asked] = useDebouncedValue(query.trim(), SEARCH_DELAY_MS);
  const { data: known = [] } = useQuery(catalogues);
  const { data: found } = useQuery({
    queryKey: ["search", asked],
    queryFn: ({ signal }) => get<SearchPage>("/api/v1/ai-catalog/search", { query: { q: asked, page_size: MAX_FOUND }, signal }),
    enabled: asked.length > 1,
    placeholderData: keepPreviousData,
  });
  const navigate = useNavigate();
  const go = (to: string) => () => void navigate({ to });
  const pages = MAIN_PAGES.map((page) => ({ id: page.to, label: page.label, description: page.description, onClick: go(page.to) }));
  const recent = useRecent().map((one) => ({ id: `recent ${one.path}`, label: one.title, description: one.path, onClick: go(one.path) }));
  const items = asked.length > 1 ? (found?.items ?? []) : [];
  const ofCatalog = items.flatMap((one) => {
    const page = pageOf(known, one.kind, one.id);
    // The server matched the words, also with typos, so the palette leaves none out.
    return page ? [{ id: `found ${page.path}`, label: one.title || one.name, description: `${page.kind} ${one.project}`, keywords: query, onClick: go(page.path) }] : [];
  });
  const groups: SpotlightActionGroupData[] = [
    { group: t("Found in the catalog"), actions: ofCatalog },
    { group: t("Pages"), actions: pages },
    { group: t("Visited last"), actions: recent },
    ...known.map((service) => ({ group: service.title, actions: ofService(service, go) })),
  ];
  return (
    <Spotlight
      actions={groups.filter((one) => one.actions.length)}
      shortcut="mod + K"
      query={query}
      onQueryChange={setQuery}
      highlightQuery
      scrollable
      maxHeight={400}
      limit={30}
      nothingFound={t("Nothing found")}
      searchProps={{ placeholder: t("Find a page or an item, or run a command") }}
    />
  );
}

function ofService(service: Catalogue, go: (to: string) => () => void) {
  return service.items.flatMap((kind) => {
    const to = `/${service.service}/${kind.plural}`;
    return [
      ...(method(kind, "list") ? [{ id: to, label: words(kind.plural), description: kind.description, onClick: go(to) }] : []),
      ...(method(kind, "create") ? [{ id: `${to}/new`, label: t("Create {title}", { title: kind.title.toLowerCase() }), onClick: go(`${to}/new`) }] : []),
    ];
  });
}

/** The page of an item of a kind with this full name, such as `ai_catalog.asset`. */
function pageOf(known: Catalogue[], fullName: string, id: string): { path: string; kind: string } | undefined {
  const [service = "", name = ""] = fullName.split(".");
  const slug = service.replaceAll("_", "-");
  const kind = known.find((one) => one.service === slug)?.items.find((one) => one.name === name);
  return kind && { path: `/${slug}/${kind.plural}/${encodeURIComponent(id)}`, kind: kind.title };
}

// References: ids of other things, and the names of those things.

import { queryOptions } from "@tanstack/react-query";
import { get } from "./http";
import { type Catalogue, type KindEntry, method } from "./platform";

const MAX_IDS = 100;
const GENERATED = /^[a-z]{3}_/;
const ASSET = /^[\w-]+(\.[\w-]+){2,}$/;

export interface Target {
  service: string;
  kind: KindEntry;
}

/** The kind that an id is of: the only one that a field refers to, or the one whose ids begin like this one. */
export function targetOf(found: Catalogue[], refersTo: string[], id: string): Target | undefined {
  const every = found.flatMap(({ service, items }) => items.map((kind) => ({ service, kind })));
  const any = refersTo.includes("*");
  const possible = any ? every : every.filter(({ service, kind }) => refersTo.includes(`${service.replaceAll("-", "_")}.${kind.name}`));
  if (possible.length === 1) return possible[0];
  if (any && ASSET.test(id)) return possible.find(({ service, kind }) => service === "ai-catalog" && kind.name === "asset");
  if (!GENERATED.test(id)) return undefined;
  return possible.find(({ kind }) => kind.example.slice(0, 4) === id.slice(0, 4) && method(kind, "get"));
}

/** The list that a name can be looked up in. Only stored things have names apart from their ids. */
function listOf(kind: KindEntry): string | undefined {
  const listing = method(kind, "list");
  return listing?.query === "ResourceQuery" ? listing.path : undefined;
}

export const nameOf = (target: Target | undefined, id: string) => {
  const list = target && listOf(target.kind);
  return queryOptions({
    queryKey: ["name", list, id],
    queryFn: () => lookUp(list as string, id),
    enabled: Boolean(list && id),
    staleTime: 60_000,
    retry: false,
  });
};

type Waiting = Map<string, ((name: string | null) => void)[]>;
const waiting = new Map<string, Waiting>();

/** Looks a name up, together with all others of the list that are asked for at the same time. */
function lookUp(list: string, id: string): Promise<string | null> {
  return new Promise((resolve) => {
    const ids = waiting.get(list) ?? new Map();
    if (!ids.size) setTimeout(() => void readNames(list), 5);
    waiting.set(list, ids.set(id, [...(ids.get(id) ?? []), resolve]));
  });
}

async function readNames(list: string): Promise<void> {
  const asked = waiting.get(list) ?? new Map();
  waiting.delete(list);
  const ids = [...asked.keys()];
  for (let start = 0; start < ids.length; start += MAX_IDS) {
    const some = ids.slice(start, start + MAX_IDS);
    const query = { filter: `id in ${JSON.stringify(some)}`, fields: "id,name", page_size: MAX_IDS };
    // A thing that can't be read has no name for this caller: its id remains.
    const page = await get<{ items: { id: string; name: string }[] }>(list, { query }).catch(() => ({ items: [] }));
    const names = new Map(page.items.map((one) => [one.id, one.name]));
    for (const one of some) for (const resolve of asked.get(one) ?? []) resolve(names.get(one) ?? null);
  }
}

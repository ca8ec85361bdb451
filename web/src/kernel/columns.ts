// The columns that a list can have: the fields of an item, and those of its spec and status.

import { field, type Schema, type Schemas } from "../api/schema";

const NESTED = ["spec", "status"];
const FIRST = ["name", "spec.title", "title", "id"];
const LAST = ["status.state", "state", "health", "owner", "updated_at", "created_at"];
const MAX_DEFAULT = 6;

export function columnsOf(item: Schema, schemas: Schemas): string[] {
  return Object.entries(item.properties ?? {}).flatMap(([name, schema]) => {
    if (!NESTED.includes(name)) return [name];
    return Object.keys(field(schema, schemas).schema.properties ?? {}).map((inner) => `${name}.${inner}`);
  });
}

/** The columns of a list whose address names none: what an item is called, its state, and when it changed. */
export function defaultColumns(known: string[]): string[] {
  const first = FIRST.filter((name) => known.includes(name)).slice(0, 2);
  const last = LAST.filter((name) => known.includes(name));
  const others = known.filter((name) => !first.includes(name) && !last.includes(name) && !isTechnical(name));
  const free = Math.max(0, MAX_DEFAULT - first.length - last.length);
  return [...first, ...(first.length + last.length < 3 ? others.slice(0, free) : []), ...last].slice(0, MAX_DEFAULT);
}

function isTechnical(name: string): boolean {
  return /(^|\.)(etag|generation|version|kind|labels|description|.*_id)$/.test(name);
}

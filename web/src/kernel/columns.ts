// The columns that a list can have: the fields of an item, and those of its spec and status.

import { type Field, field, type Schema, type Schemas, words } from "../api/schema";

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

export function columnTitle(name: string): string {
  return words(name.split(".").at(-1) ?? name);
}

/** The schema of the items that a list answers with. */
export function itemSchema(schemas: Schemas, result: string | null | undefined): Schema | undefined {
  const name = schemas[result ?? ""]?.properties?.items?.items?.$ref?.split("/").at(-1);
  return schemas[name ?? ""];
}

/** The field of an item at a path such as `spec.title`. */
export function fieldAt(item: Schema | undefined, path: string, schemas: Schemas): Field | undefined {
  let schema = item;
  for (const key of path.split(".")) schema = schema && field(schema, schemas).schema.properties?.[key];
  return schema && field(schema, schemas);
}

/** The width of a column in pixels, by what it contains. */
export function widthOf(name: string, declared: Field | undefined): number {
  if (/(^|\.)(description|url|sql|filter)$/.test(name)) return 320;
  if (["name", "id", "spec.title", "title"].includes(name)) return 220;
  if (declared?.schema.format === "date-time" || declared?.shape === "number" || declared?.shape === "boolean") return 130;
  if (declared?.shape === "choice") return 140;
  return 180;
}

function isTechnical(name: string): boolean {
  return /(^|\.)(etag|generation|version|kind|labels|description|.*_id)$/.test(name);
}

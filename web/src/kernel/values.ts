// The values of forms: where they start, and what a change sends.

import { field, type Schema, type Schemas } from "../api/schema";

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Values of the fields that have defaults, also in nested objects. */
export function defaults(schema: Schema, schemas: Schemas): Record<string, unknown> {
  const found: Record<string, unknown> = {};
  for (const [name, inner] of Object.entries(schema.properties ?? {})) {
    const declared = field(inner, schemas);
    if (declared.schema.default !== undefined) found[name] = declared.schema.default;
    else if (declared.shape === "object" && !declared.nullable) found[name] = defaults(declared.schema, schemas);
    else if (schema.required?.includes(name)) {
      if (declared.shape === "list") found[name] = [];
      if (declared.shape === "map") found[name] = {};
      if (declared.shape === "text") found[name] = "";
    }
  }
  return found;
}

/** The merge patch that turns one value into another: changed fields, with null for removed ones. */
export function mergePatch(before: Record<string, unknown>, after: Record<string, unknown>): Record<string, unknown> {
  const patch: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(after)) {
    const old = before[name];
    if (isRecord(old) && isRecord(value)) {
      const inner = mergePatch(old, value);
      for (const removed of Object.keys(old)) if (!(removed in value)) inner[removed] = null;
      if (Object.keys(inner).length) patch[name] = inner;
    } else if (JSON.stringify(old) !== JSON.stringify(value)) patch[name] = value;
  }
  return patch;
}

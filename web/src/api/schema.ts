// JSON Schema of the OpenAPI documents, as far as the API uses it.

export interface Schema {
  $ref?: string;
  type?: string;
  format?: string;
  title?: string;
  description?: string;
  default?: unknown;
  enum?: (string | number | null)[];
  const?: unknown;
  anyOf?: Schema[];
  oneOf?: Schema[];
  /** Which field tells the kinds of objects apart, and the schema of each kind. */
  discriminator?: { propertyName: string; mapping?: Record<string, string> };
  items?: Schema;
  properties?: Record<string, Schema>;
  required?: string[];
  additionalProperties?: boolean | Schema;
  patternProperties?: Record<string, Schema>;
  minLength?: number;
  maxLength?: number;
  minimum?: number;
  maximum?: number;
  examples?: unknown[];
  "x-refers-to"?: string[];
}

export type Schemas = Record<string, Schema>;

/** The shapes that a form can draw. JSON is the shape of everything else. */
export type Shape = "text" | "choice" | "number" | "boolean" | "list" | "map" | "object" | "json";

export interface Field {
  shape: Shape;
  /** Whether null is a valid value. */
  nullable: boolean;
  schema: Schema;
  /** Texts of a list or values of a map. */
  item?: Schema;
  /** Kinds that the text refers to. Empty if it refers to none. */
  refersTo: string[];
}

/** Replaces references, and returns the description of the place where the reference is. */
export function resolved(schema: Schema, schemas: Schemas): Schema {
  if (!schema.$ref) return schema;
  const name = schema.$ref.split("/").at(-1) ?? "";
  const target = resolved(schemas[name] ?? {}, schemas);
  return { ...target, description: schema.description ?? target.description, default: schema.default ?? target.default };
}

export function field(declared: Schema, schemas: Schemas): Field {
  const outer = resolved(declared, schemas);
  const options = (outer.anyOf ?? outer.oneOf ?? []).map((one) => resolved(one, schemas));
  const nullable = options.some((one) => one.type === "null");
  const others = options.filter((one) => one.type !== "null");
  const only = others.length === 1 ? others[0] : undefined;
  const schema = only ? { ...only, description: outer.description ?? only.description, default: outer.default } : outer;
  const refersTo = schema["x-refers-to"] ?? outer["x-refers-to"] ?? [];
  return { shape: others.length > 1 ? "json" : shapeOf(schema, schemas), nullable, schema, item: itemOf(schema), refersTo };
}

function shapeOf(schema: Schema, schemas: Schemas): Shape {
  if (schema.enum) return "choice";
  switch (schema.type) {
    case "string":
      return "text";
    case "integer":
    case "number":
      return "number";
    case "boolean":
      return "boolean";
    case "array":
      return schema.items && resolved(schema.items, schemas).type === "string" ? "list" : "json";
    case "object":
      if (schema.properties) return "object";
      return itemOf(schema) && resolved(itemOf(schema) as Schema, schemas).type === "string" ? "map" : "json";
    default:
      return "json";
  }
}

function itemOf(schema: Schema): Schema | undefined {
  if (schema.items) return schema.items;
  if (typeof schema.additionalProperties === "object") return schema.additionalProperties;
  return Object.values(schema.patternProperties ?? {})[0];
}

const LEADING = ["name", "title", "description"];
const TRAILING = ["labels", "owner", "organization_id", "project_id"];

/** The fields of an object in the order in which people fill them in: what it is called, then what is required. */
export function orderedFields(schema: Schema): [string, Schema][] {
  const rank = (name: string): number => {
    const leading = LEADING.indexOf(name);
    if (leading >= 0) return leading;
    const trailing = TRAILING.indexOf(name);
    if (trailing >= 0) return 100 + trailing;
    return schema.required?.includes(name) ? 10 : 20;
  };
  return Object.entries(schema.properties ?? {}).sort(([one], [other]) => rank(one) - rank(other) || one.localeCompare(other));
}

/** A field name in words: `created_at` is "Created at". */
export function words(name: string): string {
  const text = name.replaceAll(/[_-]+/g, " ").trim();
  const capital = text.charAt(0).toUpperCase() + text.slice(1);
  return capital.replaceAll(/\b(id|url|ttl|sql|api|tls|ca)\b/gi, (one) => one.toUpperCase());
}

/** The value at a path such as `spec.title`. */
export function valueAt(item: unknown, path: string): unknown {
  return path.split(".").reduce<unknown>((value, key) => (value as Record<string, unknown> | undefined)?.[key], item);
}

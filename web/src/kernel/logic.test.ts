import { describe, expect, it } from "vitest";
import { field, orderedFields, type Schemas, valueAt, words } from "../api/schema";
import { relative } from "../ui/relative";
import { line } from "./changes";
import { columnsOf, defaultColumns } from "./columns";
import { condition, literal } from "./conditions";
import { defaults, mergePatch } from "./values";

const SCHEMAS: Schemas = {
  Spec: {
    type: "object",
    required: ["title"],
    properties: { title: { type: "string" }, tags: { type: "object", additionalProperties: { type: "string" } }, size: { type: "integer", default: 3 } },
  },
  State: { type: "string", enum: ["OPEN", "CLOSED"] },
};

describe("field", () => {
  it("finds the shape of references and of values that can be null", () => {
    expect(field({ $ref: "#/components/schemas/Spec" }, SCHEMAS).shape).toBe("object");
    expect(field({ $ref: "#/components/schemas/State" }, SCHEMAS).shape).toBe("choice");
    const optional = field({ anyOf: [{ type: "string", "x-refers-to": ["admin.user"] }, { type: "null" }], description: "Who" }, SCHEMAS);
    expect([optional.shape, optional.nullable, optional.refersTo, optional.schema.description]).toEqual(["text", true, ["admin.user"], "Who"]);
  });

  it("leaves what no input can edit to JSON", () => {
    expect(field({ anyOf: [{ type: "string" }, { type: "integer" }] }, SCHEMAS).shape).toBe("json");
    expect(field({ type: "array", items: { $ref: "#/components/schemas/Spec" } }, SCHEMAS).shape).toBe("json");
    expect(field({ type: "object", additionalProperties: { type: "integer" } }, SCHEMAS).shape).toBe("json");
    expect(field({ type: "array", items: { type: "string" } }, SCHEMAS).shape).toBe("list");
    expect(field({ type: "object", additionalProperties: { type: "string" } }, SCHEMAS).shape).toBe("map");
  });
});

describe("forms", () => {
  it("orders names first and bookkeeping last", () => {
    const schema = { required: ["name", "spec"], properties: { labels: {}, project_id: {}, spec: {}, name: {}, added: {} } };
    expect(orderedFields(schema).map(([name]) => name)).toEqual(["name", "spec", "added", "labels", "project_id"]);
  });

  it("starts with the defaults, also of nested objects", () => {
    const schema = { required: ["spec", "name"], properties: { name: { type: "string" }, spec: { $ref: "#/components/schemas/Spec" } } };
    expect(defaults(schema, SCHEMAS)).toEqual({ name: "", spec: { title: "", size: 3 } });
  });

  it("sends only what changed, and null for what was removed", () => {
    const before = { name: "a", spec: { title: "x", tags: { keep: "1", drop: "2" } } };
    expect(mergePatch(before, { name: "a", spec: { title: "y", tags: { keep: "1" } } })).toEqual({ spec: { title: "y", tags: { drop: null } } });
    expect(mergePatch(before, before)).toEqual({});
  });
});

describe("lists", () => {
  it("have the fields of spec and status as columns", () => {
    const item = { properties: { id: {}, name: {}, etag: {}, spec: { $ref: "#/components/schemas/Spec" }, owner: {}, updated_at: {} } };
    const columns = columnsOf(item, SCHEMAS);
    expect(columns).toContain("spec.title");
    expect(defaultColumns(columns)).toEqual(["name", "spec.title", "owner", "updated_at"]);
  });

  it("show something of items that have no name", () => {
    expect(defaultColumns(["id", "count", "code", "etag"])).toEqual(["id", "count", "code"]);
  });
});

describe("filters", () => {
  it("quote texts, and only texts", () => {
    expect(condition("name", "is", 'a "b"')).toBe('name == "a \\"b\\""');
    expect(condition("spec.size", "is at least", "3")).toBe("spec.size >= 3");
    expect(literal("true")).toBe("true");
    expect(literal("2026-01-02T03:04:05Z")).toBe('timestamp("2026-01-02T03:04:05Z")');
    expect(condition("name", "starts with", "7")).toBe('name.startsWith("7")');
  });
});

it("says what a revision changed", () => {
  expect(line({ pointer: "/spec/tags/a~1b", before: null, after: "x" })).toBe('spec.tags.a/b: null → "x"');
});

it("says how long ago something was", () => {
  const now = Date.parse("2026-01-02T00:00:00Z");
  expect(relative(new Date("2026-01-01T21:00:00Z"), now)).toBe("3 hours ago");
  expect(relative(new Date("2026-01-05T00:00:00Z"), now)).toBe("in 3 days");
});

it("reads nested values and writes names as words", () => {
  expect(valueAt({ spec: { title: "a" } }, "spec.title")).toBe("a");
  expect(valueAt({}, "spec.title")).toBeUndefined();
  expect(words("organization_id")).toBe("Organization ID");
  expect(words("api-keys")).toBe("API keys");
});

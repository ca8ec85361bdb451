import { describe, expect, it } from "vitest";
import { field, orderedFields, type Schemas, valueAt, words } from "../api/schema";
import { relative } from "../ui/relative";
import { combined, path, text } from "./changes";
import { columnsOf, defaultColumns } from "./columns";
import { comparisons, condition, filterFields, inWords, parts } from "./conditions";
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
  it("write values by the type of their field", () => {
    expect(condition({ name: "name", type: "text" }, "is", 'a "b"')).toBe('name == "a \\"b\\""');
    expect(condition({ name: "name", type: "text" }, "starts with", "7")).toBe('name.startsWith("7")');
    expect(condition({ name: "spec.size", type: "number" }, "is at least", "3")).toBe("spec.size >= 3");
    expect(condition({ name: "spec.on", type: "boolean" }, "is", "true")).toBe("spec.on == true");
    expect(condition({ name: "created_at", type: "time" }, "is after", "2026-01-02T03:04:05Z")).toBe('created_at >= timestamp("2026-01-02T03:04:05.000Z")');
    expect(condition({ name: "labels", type: "labels" }, "is", "env = prod")).toBe('labels.env == "prod"');
    expect(condition({ name: "spec.tags", type: "list" }, "contains", "pii")).toBe('"pii" in spec.tags');
    expect(condition({ name: "owner", type: "reference" }, "is empty", "")).toBe("owner == null");
  });

  it("offer what fits the type of a field", () => {
    const item = { properties: { status: { $ref: "#/components/schemas/Status" }, owner: { type: "string", "x-refers-to": ["admin.user"] }, created_at: { type: "string", format: "date-time" } } };
    const schemas: Schemas = { ...SCHEMAS, Status: { type: "object", properties: { state: { $ref: "#/components/schemas/State" } } } };
    const kind = { filter_by: ["kind", "state", "owner", "created_at", "labels"], order_by: ["name"] } as unknown as Parameters<typeof filterFields>[0];
    const fields = filterFields(kind, item, schemas);
    expect(fields.map((one) => [one.name, one.type])).toEqual([["state", "choice"], ["owner", "reference"], ["created_at", "time"], ["labels", "labels"]]);
    expect(fields[0]?.choices).toEqual(["OPEN", "CLOSED"]);
    expect(comparisons("boolean")).toEqual(["is"]);
  });

  it("are read in parts, and a choice between conditions is one part", () => {
    expect(parts('name == "a && b" && (size > 3 && size < 5) && owner != null')).toEqual(['name == "a && b"', "(size > 3 && size < 5)", "owner != null"]);
    expect(parts("a == 1 || b == 2 && c == 3")).toEqual(["a == 1 || b == 2 && c == 3"]);
    expect(parts("")).toEqual([]);
  });

  it("are said in words, where they are simple", () => {
    expect(inWords('spec.title.contains("sales")')).toBe("Title contains sales");
    expect(inWords('labels.env == "prod"')).toBe("Label env is prod");
    expect(inWords("owner == null")).toBe("Owner is empty");
    expect(inWords('name in ["a", "b"]')).toBe('name in ["a", "b"]');
  });
});

describe("changes", () => {
  it("name the field, and show texts as they are", () => {
    expect(path({ pointer: "/spec/tags/a~1b" })).toBe("spec.tags.a/b");
    expect([text("a"), text(null), text({ a: 1 })]).toEqual(["a", "–", '{\n  "a": 1\n}']);
  });

  it("between two versions leave out what changed back", () => {
    const revision = (version: number, changes: [string, unknown, unknown][]) => ({
      version, at: "", action: "", by: "", changes: changes.map(([pointer, before, after]) => ({ pointer, before, after })),
    });
    const all = [revision(4, [["/c", 1, 2]]), revision(3, [["/a", "y", "x"], ["/b", 2, 3]]), revision(2, [["/a", "x", "y"], ["/b", 1, 2]])];
    expect(combined(all, 1, 3)).toEqual([{ pointer: "/b", before: 1, after: 3 }]);
  });
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

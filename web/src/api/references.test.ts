import { afterEach, describe, expect, it, vi } from "vitest";
import type { Catalogue, KindEntry } from "./platform";
import { nameOf, targetOf } from "./references";

const kind = (name: string, example: string): KindEntry => ({
  name, example, plural: `${name}s`, title: name, description: "", path: null, filter_by: [], order_by: [], reads: [], parts: [], actions: [],
  methods: ["list", "get"].map((verb) => ({ verb, method: "GET", path: `/api/v1/admin/${name}s`, operation_id: "", permission: "", role: "", summary: "", long: false, query: "ResourceQuery", request: null, result: null })),
});
const FOUND: Catalogue[] = [
  { service: "admin", title: "Admin", items: [kind("user", "usr_06e1"), kind("group", "grp_06e1"), kind("organization", "org_06e1")] },
  { service: "ai-catalog", title: "Catalog", items: [kind("asset", "flights.gold.delays")] },
];
const found = (refersTo: string[], id: string) => targetOf(FOUND, refersTo, id)?.kind.name;

describe("the kind of a reference", () => {
  it("is the only one that the field refers to, whatever the id looks like", () => {
    expect(found(["admin.organization"], "default")).toBe("organization");
  });

  it("follows from the first letters of the id among several", () => {
    expect(found(["admin.user", "admin.group"], "grp_06e1abc")).toBe("group");
    expect(found(["*"], "usr_06e1abc")).toBe("user");
    expect(found(["*"], "flights.gold.delays")).toBe("asset");
  });

  it("is unknown for a text that is no id", () => {
    expect(found(["admin.user", "admin.group"], "team@example.com")).toBeUndefined();
    expect(found(["*"], "platform")).toBeUndefined();
  });
});

describe("names", () => {
  afterEach(() => vi.unstubAllGlobals());

  it("that are asked for together are read together, and one that can't be seen is null", async () => {
    const asked: string[] = [];
    vi.stubGlobal("fetch", async (path: string) => {
      asked.push(path);
      return new Response(JSON.stringify({ items: [{ id: "usr_1", name: "ada" }] }), { headers: { "content-type": "application/json" } });
    });
    const target = targetOf(FOUND, ["admin.user"], "usr_1");
    const read = (id: string) => (nameOf(target, id).queryFn as () => Promise<string | null>)();
    expect(await Promise.all([read("usr_1"), read("usr_2"), read("usr_1")])).toEqual(["ada", null, "ada"]);
    expect(asked).toHaveLength(1);
    expect(new URL(asked[0] ?? "", "http://x").searchParams.get("filter")).toBe('id in ["usr_1","usr_2"]');
  });
});

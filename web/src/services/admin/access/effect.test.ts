import { describe, expect, it } from "vitest";
import type { PermissionEntry } from "../../../api/generated/admin";
import { allowedBy, covers, shares } from "./effect";
import { isComplete, placeFrom, placeOf } from "./place";

const entry = (name: string, role: PermissionEntry["role"]): PermissionEntry => ({ name, role, summary: "", kind: "", service: name.split(".")[0] ?? "" });
const EVERY = [entry("admin.user.get", "ADMIN"), entry("ai_catalog.asset.get", "VIEWER"), entry("ai_catalog.asset.materialize", "EDITOR")];
const names = (role: Parameters<typeof allowedBy>[0]) => allowedBy(role, EVERY).map((one) => one.name);

describe("what a role allows", () => {
  it("are all permissions up to its level if it is built in", () => {
    const builtIn = (name: string) => names({ name, spec: {}, status: { built_in: true } });
    expect([builtIn("viewer"), builtIn("editor"), builtIn("admin")].map((list) => list.length)).toEqual([1, 2, 3]);
    expect(builtIn("viewer")).toEqual(["ai_catalog.asset.get"]);
  });

  it("are those that its patterns name, without those that it denies", () => {
    expect(names({ name: "own", spec: { permissions: ["ai_catalog.*", "*.*.get"], denied: ["ai_catalog.asset.materialize"] }, status: {} })).toEqual(["admin.user.get", "ai_catalog.asset.get"]);
  });
});

it("a pattern contains what the platform says that it contains", () => {
  const cases: [string, string, boolean][] = [
    ["*", "admin.user.get", true],
    ["admin.*", "admin.user.get", true],
    ["admin.user.*", "admin.user.get", true],
    ["*.*.get", "admin.user.get", true],
    ["admin.user.get", "admin.user.get", true],
    ["admin.user", "admin.user.get", false],
    ["admin.*.delete", "admin.user.get", false],
    ["ai_catalog.*", "admin.user.get", false],
  ];
  for (const [pattern, permission, expected] of cases) expect([pattern, covers(pattern, permission)]).toEqual([pattern, expected]);
});

it("an effect names each person once, with the verbs by kind", () => {
  const pair = (principal_id: string, permission: string) => ({ securable_id: "prj_1", principal_id, permission });
  expect(shares([pair("usr_2", "admin.project.get"), pair("usr_1", "admin.project.list"), pair("usr_1", "admin.project.get"), pair("usr_1", "ai_catalog.asset.get")])).toEqual([
    { principal: "usr_1", permissions: 3, kinds: [{ kind: "Asset", verbs: ["get"] }, { kind: "Project", verbs: ["get", "list"] }] },
    { principal: "usr_2", permissions: 1, kinds: [{ kind: "Project", verbs: ["get"] }] },
  ]);
});

describe("a place", () => {
  it("is found by the kind, or by the id", () => {
    expect(placeFrom("prj_1").level).toBe("project");
    expect(placeFrom("org_1", "admin.organization").level).toBe("organization");
    expect(placeFrom("platform", "platform")).toEqual({ level: "platform", id: "platform", kind: "platform" });
    expect(placeFrom("flights.gold.delays", "ai_catalog.asset")).toEqual({ level: "item", id: "flights.gold.delays", kind: "ai_catalog.asset" });
  });

  it("names its kind only where the id doesn't", () => {
    expect(placeOf("prj_1", "admin.project").securable_kind).toBe("");
    expect(placeOf("platform", "platform").securable_kind).toBe("");
    expect(placeOf("a.b.c", "ai_catalog.asset").securable_kind).toBe("ai_catalog.asset");
  });

  it("is complete with its id", () => {
    expect(isComplete(placeFrom())).toBe(false);
    expect(isComplete(placeFrom("prj_1"))).toBe(true);
    expect(isComplete({ level: "item", id: "a.b.c", kind: "" })).toBe(false);
  });
});

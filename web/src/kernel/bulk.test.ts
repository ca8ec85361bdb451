import { afterEach, describe, expect, it, vi } from "vitest";
import type { KindEntry, OperationEntry } from "../api/platform";
import { runOnEach } from "./bulk";
import { namesIn } from "./Affected";
import { commandOf } from "../ui/commands";
import { merged } from "./useQuickChange";

const operation = (method: string, verb: string, path: string): OperationEntry => ({
  verb, method, path, operation_id: verb, permission: "", role: "", summary: "", long: false, query: null, request: verb === "delete" ? null : "Request", result: null,
});
const DELETE = operation("DELETE", "delete", "/groups/{group}");
const SUSPEND = operation("POST", "suspend", "/groups/{group}:suspend");
const kind = (actions: OperationEntry[]) => ({ actions }) as unknown as KindEntry;
const answer = (status: number, body: unknown) => new Response(JSON.stringify(body), { status, headers: { "content-type": "application/problem+json" } });

describe("an operation on many items", () => {
  afterEach(() => vi.unstubAllGlobals());

  it("is one request where the kind has batches, and each item has its own outcome", async () => {
    const sent: unknown[] = [];
    vi.stubGlobal("fetch", async (path: string, options: RequestInit) => {
      sent.push([path, JSON.parse(String(options.body))]);
      return answer(200, { items: [{ status: 204, problem: null }, { status: 409, problem: { detail: "It is in use." } }] });
    });
    const outcomes = await runOnEach(kind([operation("POST", "batch", "/groups:batch")]), DELETE, ["a", "b"], undefined, () => {});
    expect(outcomes).toEqual([{ id: "a", problem: null }, { id: "b", problem: "It is in use." }]);
    expect(sent).toEqual([["/groups:batch", { atomic: false, items: [{ method: "DELETE", id: "a" }, { method: "DELETE", id: "b" }] }]]);
  });

  it("goes on after a failure, and says how far it is", async () => {
    const progress: number[] = [];
    vi.stubGlobal("fetch", async (path: string) => (path.includes("/a:") ? answer(403, { detail: "You may not." }) : answer(200, {})));
    const outcomes = await runOnEach(kind([]), SUSPEND, ["a", "b"], undefined, (done) => progress.push(done));
    expect(outcomes).toEqual([{ id: "a", problem: "You may not." }, { id: "b", problem: null }]);
    expect(progress).toEqual([1, 2]);
  });
});

it("the names of what is affected come from the list of an answer, once each", () => {
  expect(namesIn({ items: [{ name: "a" }, { asset: "x.y.z" }, { name: "a" }] })).toEqual(["a", "x.y.z"]);
  expect(namesIn({ downstream: ["p.q.r"], depth: 3 })).toEqual(["p.q.r"]);
  expect(namesIn(undefined)).toEqual([]);
});

it("a command quotes an id that a shell would read as something else", () => {
  expect(commandOf("/ai-catalog/assets/a.b.c")).toBe("headwater assets get a.b.c");
  expect(commandOf("/ai-catalog/assets/a.b.c", { tab: "versions" })).toBe("headwater history a.b.c");
  expect(commandOf(`/operations/operations/${encodeURIComponent("a'; rm")}`)).toBe("headwater logs 'a'\\''; rm'");
  expect(commandOf("/query", { sql: "select 1" })).toBe("headwater query 'select 1'");
  expect(commandOf("/admin/groups")).toBeUndefined();
});

it("a change is shown before the platform answers, as a merge patch", () => {
  expect(merged({ labels: { a: "1", b: "2" }, spec: { title: "x" } }, { labels: { a: null, c: "3" } })).toEqual({ labels: { b: "2", c: "3" }, spec: { title: "x" } });
});

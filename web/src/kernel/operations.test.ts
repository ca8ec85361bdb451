import { describe, expect, it } from "vitest";
import type { KindEntry, OperationEntry } from "../api/platform";
import { affectedParts, hasOwnAnswer, isDestructive, isFinal, label, onItem } from "./operations";

const operation = (method: string, verb: string, path = "/groups/{group}", result: string | null = "Group"): OperationEntry => ({
  verb, method, path, result, operation_id: verb, permission: "", role: "", summary: "", long: false, query: null, request: null,
});
const kind = (methods: OperationEntry[], actions: OperationEntry[], parts: OperationEntry[] = []): KindEntry => ({
  methods, actions, parts, name: "group", plural: "groups", title: "Group", description: "", example: "grp_1", path: null, filter_by: [], order_by: [], reads: [],
});
const GET = operation("GET", "get");
const UPDATE = operation("PATCH", "update");
const DELETE = operation("DELETE", "delete", "/groups/{group}", null);
const RESTORE = operation("POST", "restore", "/groups/{group}:restore");
const PURGE = operation("POST", "purge", "/groups/{group}:purge");
const ROTATE = operation("POST", "rotate", "/groups/{group}:rotate", "Secret");
const BATCH = operation("POST", "batch", "/groups:batch", "BatchResult");

describe("the operations on an item", () => {
  it("are its change, its actions, and its deletion, and not those on the collection or on deleted items", () => {
    const group = kind([GET, UPDATE, DELETE], [BATCH, RESTORE, ROTATE]);
    expect(onItem(group).map(label)).toEqual(["Edit", "Rotate", "Delete"]);
  });

  it("are final if nothing undoes them", () => {
    expect(isFinal(kind([GET, DELETE], [RESTORE]), DELETE)).toBe(false);
    expect(isFinal(kind([GET, DELETE], []), DELETE)).toBe(true);
    expect(isFinal(kind([GET, DELETE], [RESTORE, PURGE]), PURGE)).toBe(true);
    expect([DELETE, PURGE, ROTATE].map(isDestructive)).toEqual([true, true, false]);
  });

  it("have an answer of their own if they return something else than the item", () => {
    const group = kind([GET, UPDATE, DELETE], [ROTATE]);
    expect([UPDATE, DELETE, ROTATE].map((one) => hasOwnAnswer(group, one))).toEqual([false, false, true]);
    expect(hasOwnAnswer(group, { ...ROTATE, long: true })).toBe(false);
  });

  it("affect what the parts say that refer to the item", () => {
    expect(affectedParts(kind([GET], [], [operation("GET", "members"), operation("GET", "revisions")])).map((one) => one.verb)).toEqual(["members"]);
  });
});

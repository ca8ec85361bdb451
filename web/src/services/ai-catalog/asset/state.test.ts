import { expect, test } from "vitest";
import type { AssetDetail } from "./asset";
import { namesOf, versionNumber } from "./asset";
import { checksInWords, shortened, staleBecause, stateSentence } from "./state";

const ASSET = {
  id: "flights.gold.delays",
  health: "HEALTHY",
  health_reasons: [],
  staleness_causes: [],
  runs_in_progress: [],
  data_version: "a1@12",
} as unknown as AssetDetail;

test("a healthy asset names its version", () => {
  expect(stateSentence(ASSET)).toMatchObject({ state: "Fresh", text: "version 12", written: true, color: "teal" });
});

test("a failed one says why", () => {
  const failed: AssetDetail = { ...ASSET, health: "DEGRADED", health_reasons: ["run r1 failed", "check a failed", "check b failed"] };
  expect(stateSentence(failed)).toMatchObject({ state: "Failed", text: "run r1 failed; check a failed; and 1 more", color: "red" });
});

test("a stale one names what changed once", () => {
  const cause = { asset: "flights.gold.delays", category: "DATA", reason: "has new data", dependency: "flights.silver.flights" };
  const stale: AssetDetail = { ...ASSET, health: "STALE", staleness_causes: [cause, cause, { ...cause, category: "CODE", dependency: null }] };
  expect(staleBecause(stale)).toBe("flights.silver.flights has new data and flights.gold.delays has new code");
});

test("one without a version differs by whether it is retired", () => {
  expect(stateSentence({ ...ASSET, health: "UNKNOWN", data_version: null }).state).toBe("Not made yet");
  expect(stateSentence({ ...ASSET, health: "UNKNOWN", retired: true }).state).toBe("Retired");
});

test("checks are counted in words, the worst first", () => {
  expect(checksInWords({ PASSED: 3, FAILED: 1 })).toBe("1 failed, 3 passed");
});

test("an id tells its project, layer, and name", () => {
  expect(namesOf("flights.gold.a.b")).toEqual({ project: "flights", layer: "gold", name: "a.b" });
  expect(versionNumber("a1@12")).toBe("12");
  expect(versionNumber(null)).toBe("");
});

test("an explanation names versions by number and digests by their beginning", () => {
  const id = "96a41e23-5990-456e-8df2-76c54633ff9b";
  expect(shortened(`Version ${id}@3 of a.b.c used commit ${"0123456789abcdef".repeat(3).slice(0, 40)}. It read a.b.d at ${id}@12.`)).toBe(
    "Version 3 of a.b.c used commit 0123456789ab. It read a.b.d at version 12.",
  );
});

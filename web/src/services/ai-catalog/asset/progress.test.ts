import { expect, test } from "vitest";
import { selectedKeys } from "./Partitions";
import { after, duration, type LogEvent, STARTED } from "./progress";

const line = (type: string, step: string | null, at: string, message = "", state = "RUNNING"): LogEvent => ({
  at, level: "INFO", type, run: "r1", step, message, state, progress: { done: 0, total: 2 },
});

test("a step starts, fails, and says why", () => {
  let now = after(STARTED, "state", line("STATE", null, ""));
  now = after(now, "log", line("STEP_START", "flights__gold__delays", "2026-01-01T00:00:00Z"));
  expect(now.steps).toMatchObject([{ state: "running", endedAt: null }]);
  now = after(now, "log", line("STEP_FAILURE", "flights__gold__delays", "2026-01-01T00:00:02Z", "no column"));
  expect(now.steps).toMatchObject([{ state: "failed", message: "no column", startedAt: "2026-01-01T00:00:00Z" }]);
  now = after(now, "end", line("STATE", null, "", "delays: no column", "FAILED"));
  expect(now).toMatchObject({ ended: true, state: "FAILED", reason: "delays: no column" });
  expect(now.lines).toHaveLength(2);
});

test("an end without a failure has no reason", () => {
  expect(after(STARTED, "end", line("STATE", null, "", "2 of 2 done", "SUCCEEDED")).reason).toBe("");
});

test("durations are short texts", () => {
  expect(duration("2026-01-01T00:00:00Z", "2026-01-01T00:00:01.250Z")).toBe("1.3 s");
  expect(duration("2026-01-01T00:00:00Z", "2026-01-01T00:03:05Z")).toBe("3 min 5 s");
  expect(duration("2026-01-01T00:00:00Z", null)).toBe("");
});

test("a range of partitions includes its ends, in any order", () => {
  const keys = ["a", "b", "c", "d"];
  expect(selectedKeys({ kind: "range", from: "c", to: "b" }, keys)).toEqual(["b", "c"]);
  expect(selectedKeys({ kind: "range", from: "x", to: "b" }, keys)).toEqual([]);
  expect(selectedKeys({ kind: "last" }, keys)).toEqual(["d"]);
});

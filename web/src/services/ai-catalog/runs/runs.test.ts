import { expect, it } from "vitest";
import { merged, parameters, reason, type Run, starter, type Step, target } from "./runs";

const RUN: Run = {
  id: "1", state: "RUNNING", job: "nightly", assets: ["a.b.c"], origin: "API", started_by: "ada", operation: null, pipeline_id: null, retry_of: null,
  partition: null, backfill: null, steps_done: 0, steps_total: 1, created_at: null, started_at: null, ended_at: null, error: null, cancelable: true, retriable: false,
};
const STEP: Step = { name: "a__b__c", assets: ["a.b.c"], state: "FAILED", attempts: 1, error: "no rows", started_at: null, ended_at: null };

it("says what a run works on and who started it", () => {
  expect(target(RUN)).toBe("a.b.c");
  expect(target({ ...RUN, assets: ["a.b.c", "d.e.f", "g.h.i"] })).toBe("a.b.c and 2 more");
  expect(target({ ...RUN, assets: [] })).toBe("nightly");
  expect(starter(RUN)).toBe("ada");
  expect(starter({ origin: "SCHEDULE", started_by: "schedule:daily" })).toBe("Schedule: daily");
  expect(starter({ origin: "DAGSTER", started_by: null })).toBe("Dagster");
});

it("changes the states of listed runs, and counts new ones instead of moving rows", () => {
  const newest = [{ ...RUN, id: "3" }, { ...RUN, id: "2" }, { ...RUN, state: "FAILED" }];
  const { runs, added } = merged([RUN, { ...RUN, id: "0" }], newest);
  expect(runs.map((run) => [run.id, run.state])).toEqual([["1", "FAILED"], ["0", "RUNNING"]]);
  expect(added).toBe(2);
});

it("says in one sentence why a run failed", () => {
  const failed = { ...RUN, state: "FAILED", error: "a__b__c: no rows" };
  expect(reason(RUN, [STEP])).toBeNull();
  expect(reason(failed, [STEP])).toBe("a__b__c: no rows");
  expect(reason(failed, [{ ...STEP, error: null }])).toBe("a__b__c: no rows");
  expect(reason({ ...failed, error: null }, [])).toBe("The run failed before a step could.");
});

it("asks the platform for what the address says", () => {
  const asked = parameters({ by: 'a "b"', since: "1h" }, Date.parse("2026-01-01T01:00:00Z"));
  expect(asked.filter).toBe('started_by == "a \\"b\\""');
  expect(asked.created_after).toBe("2026-01-01T00:00:00.000Z");
});

import { expect, test } from "vitest";
import type { LogLine } from "../../../ui/logLines";
import { stepsOf } from "./progress";

const line = (type: string, step: string | null, at: string): LogLine => ({ at, level: "INFO", type, step, message: "" });

test("a step is in its latest state, with the time of its start", () => {
  const lines = [line("RUN_START", null, "2026-01-01T00:00:00Z"), line("STEP_START", "flights__gold__delays", "2026-01-01T00:00:00Z")];
  expect(stepsOf(lines)).toMatchObject([{ state: "RUNNING", endedAt: null }]);
  lines.push(line("STEP_START", "flights__gold__routes", "2026-01-01T00:00:01Z"), line("STEP_FAILURE", "flights__gold__delays", "2026-01-01T00:00:02Z"));
  expect(stepsOf(lines)).toMatchObject([
    { name: "flights__gold__delays", state: "FAILED", startedAt: "2026-01-01T00:00:00Z", endedAt: "2026-01-01T00:00:02Z" },
    { name: "flights__gold__routes", state: "RUNNING" },
  ]);
});

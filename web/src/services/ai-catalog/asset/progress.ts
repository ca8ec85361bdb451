// The steps of an operation, from the lines of its log.

import type { LogLine } from "../../../ui/logLines";

export interface Step {
  name: string;
  state: "RUNNING" | "SUCCEEDED" | "FAILED" | "SKIPPED";
  startedAt: string | null;
  endedAt: string | null;
}

const STATES: Record<string, Step["state"]> = {
  STEP_START: "RUNNING",
  STEP_RESTARTED: "RUNNING",
  STEP_SUCCESS: "SUCCEEDED",
  STEP_FAILURE: "FAILED",
  STEP_SKIPPED: "SKIPPED",
};

/** The steps in the order in which they started, each in its latest state. */
export function stepsOf(lines: LogLine[]): Step[] {
  const steps = new Map<string, Step>();
  for (const { type, step: name, at } of lines) {
    const state = STATES[type ?? ""];
    if (!state || !name) continue;
    steps.set(name, { name, state, startedAt: steps.get(name)?.startedAt ?? at, endedAt: state === "RUNNING" ? null : at });
  }
  return [...steps.values()];
}

// The progress of an operation, from the events of its log.

export interface LogEvent {
  at: string | null;
  level: string;
  type: string;
  run: string | null;
  step: string | null;
  message: string;
  state: string;
  progress: { done: number; total: number };
}

export interface Step {
  name: string;
  state: "running" | "succeeded" | "failed" | "skipped";
  startedAt: string | null;
  endedAt: string | null;
  message: string;
}

export interface ProgressState {
  state: string;
  done: number;
  total: number;
  ended: boolean;
  /** Why it failed. */
  reason: string;
  steps: Step[];
  lines: LogEvent[];
}

export const STARTED: ProgressState = { state: "PENDING", done: 0, total: 0, ended: false, reason: "", steps: [], lines: [] };

const STEP_STATES: Record<string, Step["state"]> = {
  STEP_START: "running",
  STEP_RESTARTED: "running",
  STEP_SUCCESS: "succeeded",
  STEP_FAILURE: "failed",
  STEP_SKIPPED: "skipped",
};
const MAX_LINES = 2_000;

/** The progress after a further event: `state` and `log`, then one `end`. */
export function after(before: ProgressState, kind: "state" | "log" | "end", event: LogEvent): ProgressState {
  const next = { ...before, state: event.state, done: event.progress.done, total: event.progress.total };
  if (kind === "end") return { ...next, ended: true, reason: event.state === "FAILED" ? event.message : "" };
  if (kind === "state") return next;
  return { ...next, steps: withStep(before.steps, event), lines: [...before.lines, event].slice(-MAX_LINES) };
}

function withStep(steps: Step[], event: LogEvent): Step[] {
  const state = STEP_STATES[event.type];
  if (!state || !event.step) return steps;
  const known = steps.find((one) => one.name === event.step);
  const step: Step = {
    name: event.step,
    state,
    startedAt: known?.startedAt ?? event.at,
    endedAt: state === "running" ? null : event.at,
    message: state === "failed" ? event.message : "",
  };
  return known ? steps.map((one) => (one === known ? step : one)) : [...steps, step];
}

/** The time between two instants in words: "1.2 s" or "3 min 5 s". */
export function duration(from: string | null, to: string | null): string {
  if (!from || !to) return "";
  const seconds = (new Date(to).getTime() - new Date(from).getTime()) / 1000;
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
}

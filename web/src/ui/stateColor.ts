// The colors of states. A state is always told in words as well.

const GOOD = /^(ACTIVE|FRESH|OPEN|SUCCEEDED|PASSED|HEALTHY|READY|FINISHED|GRANTED|EQUAL|APPROVED|DELIVERED|PRODUCTION)$/;
const ACTIVE = /^(QUEUED|STARTING|RUNNING|CANCELING|WAITING)$/;
const DOUBTFUL = /^(WARNING|WARNED|STALE|UNCHECKED|PENDING|EXPIRED)$/;
const BAD = /^(FAILED|ERROR|BROKEN|DEGRADED|DENIED|REJECTED|SUSPENDED|DIFFERENT|KILLED|UNHEALTHY)$/;

export function stateColor(state: string): string {
  if (GOOD.test(state)) return "teal";
  if (ACTIVE.test(state)) return "blue";
  if (DOUBTFUL.test(state)) return "orange";
  return BAD.test(state) ? "red" : "gray";
}

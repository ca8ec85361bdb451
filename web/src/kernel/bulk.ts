// One operation on many items.

import { type Answer, Problem, send } from "../api/http";
import { type KindEntry, type OperationEntry, pathOf } from "../api/platform";
import { t } from "../language/text";

export interface Outcome {
  id: string;
  /** Why it failed. Null if it succeeded. */
  problem: string | null;
}

interface BatchAnswer {
  items: { status: number; problem: { detail?: string } | null }[];
}

const CHUNK = 100;

/** Does the operation with each item, and says how far it is. Each item succeeds or fails for itself. */
export async function runOnEach(
  kind: KindEntry,
  operation: OperationEntry,
  ids: string[],
  body: Record<string, unknown> | undefined,
  onProgress: (done: number) => void,
): Promise<Outcome[]> {
  const batch = kind.actions.find((one) => one.verb === "batch");
  const method = operation.method === "DELETE" ? "DELETE" : operation.method === "PATCH" ? "UPDATE" : null;
  const outcomes: Outcome[] = [];
  if (batch && method) {
    for (let start = 0; start < ids.length; start += CHUNK) {
      const some = ids.slice(start, start + CHUNK);
      const items = some.map((id) => (body ? { method, id, body } : { method, id }));
      const answer = await send<BatchAnswer>("POST", batch.path, { body: { items, atomic: false } });
      outcomes.push(...some.map((id, number) => ({ id, problem: problemOf(answer, number) })));
      onProgress(outcomes.length);
    }
    return outcomes;
  }
  for (const id of ids) {
    const problem = await send(operation.method, pathOf(operation, id), { body: body ?? (operation.request ? {} : undefined) }).then(() => null, reasonOf);
    outcomes.push({ id, problem });
    onProgress(outcomes.length);
  }
  return outcomes;
}

function problemOf(answer: Answer<BatchAnswer>, number: number): string | null {
  const outcome = answer.body.items[number];
  if (!outcome || outcome.status < 400) return null;
  return outcome.problem?.detail ?? t("The platform answered {status}.", { status: outcome.status });
}

function reasonOf(error: unknown): string {
  return error instanceof Problem ? error.message : t("The platform didn't respond.");
}

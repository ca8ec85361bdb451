// The steps from a text to a published definition, with what each step found.

import { Problem, send } from "../../../api/http";
import { t } from "../../../language/text";
import { type Definition, PATH, pathOf, type Validation } from "./definitions";
import type { Fault } from "./text";

export interface Step {
  name: string;
  state: "waiting" | "running" | "done" | "failed";
  /** Duration in milliseconds. */
  took?: number;
}

export interface Progress {
  steps: Step[];
  faults: Fault[];
  validation?: Validation;
  error?: unknown;
}

interface Entered {
  component: string;
  attributes: Record<string, unknown>;
}

/** The stored definition, with its version for `If-Match`. */
export interface Stored {
  definition: Definition;
  etag: string;
}

/**
 * Saves a draft, checks it, and publishes it if that is asked for. Stops at the first step that fails.
 *
 * Returns what is stored then, or null if nothing is.
 */
export async function advance(before: Stored | null, entered: Entered, publish: boolean, report: (progress: Progress) => void): Promise<Stored | null> {
  const names = publish ? [t("Save the draft"), t("Check"), t("Publish")] : [t("Save the draft"), t("Check")];
  const progress: Progress = { steps: names.map((name) => ({ name, state: "waiting" })), faults: [] };
  let stored = before;

  const step = async (number: number, work: () => Promise<boolean>): Promise<boolean> => {
    const put = (changed: Partial<Step>) => {
      progress.steps = progress.steps.map((one, position) => (position === number ? { ...one, ...changed } : one));
      report({ ...progress });
    };
    const started = performance.now();
    put({ state: "running" });
    try {
      const passed = await work();
      put({ state: passed ? "done" : "failed", took: performance.now() - started });
      return passed;
    } catch (error) {
      if (error instanceof Problem) progress.faults = error.faults;
      progress.error = error;
      put({ state: "failed", took: performance.now() - started });
      return false;
    }
  };

  const save = async () => {
    if (stored && same(stored.definition, entered)) return true;
    const answer = stored
      ? await send<Definition>("PATCH", pathOf(stored.definition.id), { body: entered, etag: stored.etag })
      : await send<Definition>("POST", PATH, { body: entered });
    // Only a read returns the version.
    stored = await read(answer.body.id);
    return true;
  };
  const check = async () => {
    const { body } = await send<Validation>("POST", `${pathOf(stored?.definition.id ?? "")}:validate`, { body: {} });
    progress.validation = body;
    progress.faults = body.errors;
    return body.publishable;
  };
  const release = async () => {
    const id = stored?.definition.id ?? "";
    await send<Definition>("POST", `${pathOf(id)}:publish`, { body: {}, etag: stored?.etag });
    stored = await read(id);
    return true;
  };
  const works = [save, check, release];
  for (const [number] of names.entries()) {
    if (!(await step(number, works[number] ?? check))) break;
  }
  return stored;
}

async function read(id: string): Promise<Stored> {
  const { body, etag } = await send<Definition>("GET", pathOf(id));
  return { definition: body, etag };
}

/** Whether the stored definition is what was entered. */
export function same(stored: Definition, entered: Entered): boolean {
  return stored.component === entered.component && JSON.stringify(stored.attributes) === JSON.stringify(entered.attributes);
}

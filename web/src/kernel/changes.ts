// What a revision changed.

export interface Change {
  pointer: string;
  before: unknown;
  after: unknown;
}

export interface Revision {
  version: number;
  at: string;
  action: string;
  by: string;
  changes: Change[];
}

/** A change in one line: `spec.title: "a" → "b"`. */
export function line({ pointer, before, after }: Change): string {
  const path = pointer.slice(1).replaceAll("/", ".").replaceAll("~1", "/").replaceAll("~0", "~");
  return `${path}: ${JSON.stringify(before)} → ${JSON.stringify(after)}`;
}

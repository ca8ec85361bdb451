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

/** The field of a change: `/spec/title` is `spec.title`. */
export function path({ pointer }: Pick<Change, "pointer">): string {
  return pointer.slice(1).replaceAll("/", ".").replaceAll("~1", "/").replaceAll("~0", "~");
}

/** A value as a comparison shows it: texts without quotation marks, and nothing for no value. */
export function text(value: unknown): string {
  if (value === null || value === undefined) return "–";
  return typeof value === "string" ? value : JSON.stringify(value, null, 2);
}

/** What changed from one version to a later one, by the revisions in between. A field that changed back isn't in it. */
export function combined(revisions: Revision[], from: number, to: number): Change[] {
  const found = new Map<string, Change>();
  const between = revisions.filter((one) => one.version > from && one.version <= to).sort((one, other) => one.version - other.version);
  for (const { changes } of between) {
    for (const change of changes) found.set(change.pointer, { ...change, before: (found.get(change.pointer) ?? change).before });
  }
  return [...found.values()].filter((one) => JSON.stringify(one.before) !== JSON.stringify(one.after));
}

/** A change in one line: `spec.title: "a" → "b"`. */
export function line(change: Change): string {
  return `${path(change)}: ${JSON.stringify(change.before)} → ${JSON.stringify(change.after)}`;
}

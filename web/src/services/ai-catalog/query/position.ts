// Where in a statement an error is, as far as its message says so.

export interface Place {
  from: number;
  to: number;
  line: number;
}

const AT = /\(line (\d+), column (\d+)\)/;
const NAMED = /(?:does not exist: |Table with name |There is no asset '?)"?([\w.]+)/;

/** The place of an error: the line and column of the message, or the first occurrence of the name that it has. */
export function placeOf(message: string, sql: string): Place | null {
  const at = AT.exec(message);
  if (at) {
    const line = Number(at[1]);
    const lines = sql.split("\n");
    const start = lines.slice(0, line - 1).reduce((sum, one) => sum + one.length + 1, 0) + Number(at[2]) - 1;
    if (line > lines.length || start > sql.length) return null;
    const word = /^[\w.]+/.exec(sql.slice(start))?.[0] ?? sql.charAt(start);
    return { from: start, to: Math.max(start + word.length, Math.min(start + 1, sql.length)), line };
  }
  const name = NAMED.exec(message)?.[1]?.replace(/\.$/, "");
  if (!name) return null;
  const found = new RegExp(`(?<![\\w])${name.replaceAll(".", "\\.")}(?![\\w])`, "i").exec(sql);
  if (!found) return null;
  return { from: found.index, to: found.index + name.length, line: sql.slice(0, found.index).split("\n").length };
}

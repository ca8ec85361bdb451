// The lines of a log: which of them a filter shows, and where the first error is.

export interface LogLine {
  /** Time of the line. Null for states. */
  at: string | null;
  level: string;
  step: string | null;
  message: string;
  /** What happened, such as `STEP_START`. */
  type?: string;
}

export interface LogFilter {
  level?: string;
  step?: string;
  text?: string;
}

/** Levels by what they include. */
export const LEVELS: Record<string, string[]> = {
  errors: ["ERROR", "CRITICAL"],
  warnings: ["WARNING", "ERROR", "CRITICAL"],
  information: ["INFO", "WARNING", "ERROR", "CRITICAL"],
};

export function isError(line: LogLine): boolean {
  return line.level === "ERROR" || line.level === "CRITICAL";
}

/** One row for each line of a message, so that all rows have the same height. */
export function rowsOf(line: LogLine): LogLine[] {
  if (!line.message.includes("\n")) return [line];
  return line.message.trimEnd().split("\n").map((message) => ({ ...line, message }));
}

/** The indexes of the lines from `start` that a filter shows. Without a filter, all of them: null. */
export function matching(lines: LogLine[], filter: LogFilter, start = 0): number[] | null {
  const levels = filter.level ? LEVELS[filter.level] : undefined;
  const text = filter.text?.toLowerCase();
  if (!levels && !filter.step && !text) return null;
  const found: number[] = [];
  for (let number = start; number < lines.length; number++) {
    const line = lines[number] as LogLine;
    if (levels && !levels.includes(line.level)) continue;
    if (filter.step && line.step !== filter.step) continue;
    if (text && !line.message.toLowerCase().includes(text)) continue;
    found.push(number);
  }
  return found;
}

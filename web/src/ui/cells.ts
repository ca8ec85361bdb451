// Texts, order, and widths of the cells of a table.

const SAMPLE = 200;
const LETTER = 8;
const PADDING = 24;
const NARROWEST = 72;
const WIDEST = 360;

/** A value as the text of a cell. */
export function shown(value: unknown): string {
  if (value === null || value === undefined) return "null";
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

/** The order of two values: numbers by size, texts by the alphabet, and empty ones last. */
export function compared(one: unknown, other: unknown): number {
  const empty = Number(one === null || one === undefined) - Number(other === null || other === undefined);
  if (empty) return empty;
  if (typeof one === "number" && typeof other === "number") return one - other;
  const [left, right] = [shown(one), shown(other)];
  return left < right ? -1 : Number(left > right);
}

/** Widths of columns in pixels, by the longest text of the first rows, so that they stay as they are while people scroll. */
export function widths(columns: { name: string; note?: string }[], rows: unknown[][]): number[] {
  return columns.map((column, number) => {
    let longest = column.name.length + (column.note?.length ?? -1) + 1;
    for (const row of rows.slice(0, SAMPLE)) longest = Math.max(longest, shown(row[number]).length);
    return Math.min(WIDEST, Math.max(NARROWEST, longest * LETTER + PADDING));
  });
}

/** Whether a column has numbers: its first value that isn't empty is one. */
export function isNumeric(rows: unknown[][], column: number): boolean {
  return typeof rows.slice(0, SAMPLE).find((row) => row[column] !== null && row[column] !== undefined)?.[column] === "number";
}

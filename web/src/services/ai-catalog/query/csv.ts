// The rows of a result as a CSV file.

import { shown } from "../../../ui/cells";

/** Cells that a spreadsheet would run as a formula begin with an apostrophe, as in the exports of the platform. */
function cell(value: unknown): string {
  if (value === null || value === undefined) return "";
  const text = typeof value === "string" && /^[=+\-@\t\r]/.test(value) ? `'${value}` : shown(value);
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

export function csv(columns: { name: string }[], rows: unknown[][]): string {
  return [columns.map((one) => one.name), ...rows].map((row) => `${row.map(cell).join(",")}\r\n`).join("");
}

/** Gives a text to the browser as a file. */
export function download(name: string, text: string | Blob, type = "text/csv;charset=utf-8"): void {
  const address = URL.createObjectURL(typeof text === "string" ? new Blob([text], { type }) : text);
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
  URL.revokeObjectURL(address);
}

import { t } from "../language/text";

const UNITS: [seconds: number, unit: string][] = [
  [86_400, "d"],
  [3_600, "h"],
  [60, "min"],
  [1, "s"],
];

/** A time span in its two largest units: "2 min 5 s". */
export function duration(milliseconds: number): string {
  if (milliseconds < 1_000) return t("{value} ms", { value: Math.max(0, Math.round(milliseconds)) });
  if (milliseconds < 10_000) return `${(milliseconds / 1_000).toFixed(1)} s`;
  const seconds = Math.round(milliseconds / 1_000);
  const first = UNITS.findIndex(([size]) => seconds >= size);
  const [size, unit] = UNITS[first] as [number, string];
  const next = UNITS[first + 1];
  const rest = next ? Math.floor((seconds % size) / next[0]) : 0;
  return `${Math.floor(seconds / size)} ${unit}${next && rest ? ` ${rest} ${next[1]}` : ""}`;
}

/** The time between two instants, or until now. Null before the first. */
export function span(from: string | null, to: string | null, now: number): string | null {
  if (!from) return null;
  return duration((to ? Date.parse(to) : now) - Date.parse(from));
}

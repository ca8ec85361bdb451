// Quantities with their units, for people.

import { t } from "../language/text";

const SIZES = ["B", "kB", "MB", "GB", "TB", "PB"];

export function bytes(value: number): string {
  const size = Math.min(SIZES.length - 1, value < 1 ? 0 : Math.floor(Math.log10(value) / 3));
  const number = value / 1000 ** size;
  return `${number.toLocaleString(undefined, { maximumFractionDigits: number < 10 && size ? 1 : 0 })} ${SIZES[size]}`;
}

export function seconds(value: number): string {
  if (value < 1) return t("{value} ms", { value: (value * 1000).toLocaleString(undefined, { maximumSignificantDigits: 3 }) });
  if (value < 120) return `${value.toLocaleString(undefined, { maximumSignificantDigits: 3 })} s`;
  return value < 7200 ? t("{value} min", { value: Math.round(value / 60) }) : `${Math.round(value / 3600).toLocaleString()} h`;
}

export function share(part: number, whole: number): string {
  return whole ? `${((part / whole) * 100).toLocaleString(undefined, { maximumFractionDigits: 1 })}%` : t("none");
}

/** A number with its noun: "1 key is", "2 keys are". */
export function many(count: number, one: string, several: string): string {
  return `${count.toLocaleString()} ${count === 1 ? one : several}`;
}

// How far the inputs of a model are from what they were in its training.

import type { ModelInput } from "./served";

export interface ColumnProfile {
  name: string;
  nulls: number;
  not_finite: number;
  minimum: string | null;
  maximum: string | null;
  quartiles: number[];
}

export interface ChangedInput {
  name: string;
  before: ModelInput;
  median: number | null;
  /** Share of rows without a value. Null if the table no longer has the column. */
  missing: number | null;
  /** Change of the median in parts of the range in training. Null if it can't be computed. */
  shift: number | null;
  /** Whether a value is outside the range in training. */
  outside: boolean;
}

/** Compares inputs with the present columns of their table. The greatest change comes first. */
export function changed(inputs: ModelInput[], columns: ColumnProfile[], rows: number): ChangedInput[] {
  const known = new Map(columns.map((one) => [one.name, one]));
  return inputs
    .map((before): ChangedInput => {
      const now = known.get(before.name);
      const median = now?.quartiles[1] ?? null;
      const range = before.minimum === null || before.maximum === null ? 0 : before.maximum - before.minimum;
      const shift = median === null || before.median === null || !range ? null : (median - before.median) / range;
      const isBelow = now?.minimum != null && before.minimum !== null && Number(now.minimum) < before.minimum;
      const isAbove = now?.maximum != null && before.maximum !== null && Number(now.maximum) > before.maximum;
      const missing = now && rows ? (now.nulls + now.not_finite) / rows : null;
      return { name: before.name, before, median, missing, shift, outside: isBelow || isAbove };
    })
    .sort((one, other) => Math.abs(other.shift ?? 0) - Math.abs(one.shift ?? 0));
}

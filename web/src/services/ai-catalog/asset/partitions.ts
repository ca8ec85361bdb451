// The partitions of an asset: which have which state, and which of them a user chooses.

import type { AssetPartitions, PartitionState } from "../../../api/generated/ai-catalog";
import { t } from "../../../language/text";
import { partQuery } from "./asset";

export type { AssetPartitions, PartitionState };

export const STATE_WORDS: Record<PartitionState, string> = { MATERIALIZED: t("Made"), RUNNING: t("Running"), FAILED: t("Failed"), MISSING: t("Missing") };

export const STATES = Object.keys(STATE_WORDS) as PartitionState[];

export const partitionsQuery = (id: string, enabled = true) => partQuery<AssetPartitions>(id, "partitions", {}, enabled);

export interface Selection {
  kind: "all" | "last" | "missing" | "failed" | "range" | "chosen";
  from?: string;
  to?: string;
  /** The keys that were chosen elsewhere. */
  chosen?: string[];
}

type Known = Pick<AssetPartitions, "keys" | "states">;

/** The keys that a selection names, in their order. */
export function selectedKeys(selection: Selection, { keys, states }: Known): string[] {
  switch (selection.kind) {
    case "last":
      return keys.slice(-1);
    case "all":
      return keys;
    case "missing":
    case "failed":
      return keys.filter((_, position) => states[position]?.toLowerCase() === selection.kind);
    case "chosen":
      return selection.chosen ?? [];
    default:
      return [selection.from, selection.to].every((key) => key !== undefined && keys.includes(key)) ? between(keys, selection.from, selection.to) : [];
  }
}

/** The keys from one to another, in either order. An end that isn't given, or doesn't exist, is the first or the last key. */
export function between(keys: string[], from?: string, to?: string): string[] {
  const place = (key: string | undefined, otherwise: number) => {
    const found = key === undefined ? -1 : keys.indexOf(key);
    return found < 0 ? otherwise : found;
  };
  const [first, last] = [place(from, 0), place(to, keys.length - 1)];
  return keys.slice(Math.min(first, last), Math.max(first, last) + 1);
}

export interface Filter {
  state?: string;
  text?: string;
  from?: string;
  to?: string;
}

/** The partitions that a filter leaves. */
export function filtered({ keys, states }: Known, { state, text = "", from, to }: Filter): { key: string; state: PartitionState }[] {
  const range = new Set(between(keys, from, to));
  const wanted = text.trim().toLowerCase();
  return keys.flatMap((key, position) => {
    const found = states[position] ?? "MISSING";
    const matches = range.has(key) && (!state || found === state) && key.toLowerCase().includes(wanted);
    return matches ? [{ key, state: found }] : [];
  });
}

const SEVERITY: PartitionState[] = ["MATERIALIZED", "MISSING", "RUNNING", "FAILED"];

/** The states of all partitions in at most `count` parts of the same size. A part has the state that needs attention most. */
export function strip(states: PartitionState[], count: number): PartitionState[] {
  const parts = Math.min(count, states.length);
  return Array.from({ length: parts }, (_, part) => {
    const of = states.slice(Math.floor((part * states.length) / parts), Math.floor(((part + 1) * states.length) / parts));
    return of.reduce((worst, one) => (SEVERITY.indexOf(one) > SEVERITY.indexOf(worst) ? one : worst));
  });
}

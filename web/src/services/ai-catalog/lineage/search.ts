// The state of the page in its address.

import type { Grouping } from "./groups";

export interface LineageSearch {
  focus?: string;
  up?: number;
  down?: number;
  more?: string;
  project?: string;
  kind?: string;
  owner?: string;
  state?: string;
  text?: string;
  group?: Grouping;
  open?: string;
  impact?: boolean;
  column?: string;
  view?: "table";
  at?: string;
}

export const STEPS = 3;

const text = (value: unknown): string | undefined => (typeof value === "string" && value ? value : undefined);
const steps = (value: unknown): number | undefined => (Number.isInteger(value) && Number(value) >= 0 && Number(value) <= 100 ? Number(value) : undefined);

export function lineageSearch(search: Record<string, unknown>): LineageSearch {
  const group = search.group;
  return {
    focus: text(search.focus),
    up: steps(search.up),
    down: steps(search.down),
    more: text(search.more),
    project: text(search.project),
    kind: text(search.kind),
    owner: text(search.owner),
    state: text(search.state),
    text: text(search.text),
    group: group === "none" || group === "project" || group === "layer" ? group : undefined,
    open: text(search.open),
    impact: search.impact === true || undefined,
    column: text(search.column),
    view: search.view === "table" ? "table" : undefined,
    at: text(search.at),
  };
}

/** The parts of a list in the address. */
export function listed(value: string | undefined): string[] {
  return value?.split(",").filter(Boolean) ?? [];
}

/** The viewport of an address: x, y, and zoom. */
export function viewportOf(at: string | undefined): { x: number; y: number; zoom: number } | null {
  const [x, y, zoom] = (at ?? "").split("_").map(Number);
  if (x === undefined || y === undefined || zoom === undefined || ![x, y, zoom].every(Number.isFinite) || zoom <= 0) return null;
  return { x, y, zoom };
}

// The audit log as pages and facets of it are read.

import { words } from "../../../api/schema";
import type { Change } from "../../../kernel/changes";

export interface AuditEvent {
  id: string;
  sequence: number;
  at: string;
  type: string;
  kind: string | null;
  subject: string;
  principal: string;
  principal_id: string;
  on_behalf_of: string | null;
  outcome: string | null;
  request_id: string;
  data: Record<string, unknown> & { changes?: Change[]; action?: string; client?: string };
  hash: string;
}

export interface Facets {
  total: number;
  type: Count[];
  principal: Count[];
  outcome: Count[];
  day: Count[];
}

export interface Count {
  value: string | null;
  count: number;
}

/** An event type in words: `admin.service_account.created` is "Service account created". */
export function happened(type: string): string {
  return words(type.split(".").slice(1).join(" "));
}

/** Adds a condition to a filter, or removes it if the filter has it. */
export function toggled(filter: string, condition: string): string {
  const parts = filter.split(" && ").filter(Boolean);
  return (parts.includes(condition) ? parts.filter((one) => one !== condition) : [...parts, condition]).join(" && ");
}

export function has(filter: string, condition: string): boolean {
  return filter.split(" && ").includes(condition);
}

export function equals(field: string, value: string | null): string {
  return value === null ? `${field} == null` : `${field} == ${JSON.stringify(value)}`;
}

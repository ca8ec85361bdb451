// The statements that a user ran in this browser.

import { keep, kept } from "../../../ui/kept";

export interface Recent {
  sql: string;
  at: string;
  rows: number | null;
}

const MOST = 50;

/** The name holds the user, so that another one never sees the statements before those of the former user are forgotten. */
const name = (user: string) => `statements.${user}`;

export function recent(user: string): Recent[] {
  const stored = kept(name(user));
  return Array.isArray(stored) ? (stored as Recent[]) : [];
}

/** Adds a statement in front. The same statement is there once. */
export function remember(user: string, statement: Recent): void {
  const others = recent(user).filter((one) => one.sql !== statement.sql);
  keep(name(user), [statement, ...others].slice(0, MOST));
}

export function forget(user: string): void {
  keep(name(user), []);
}

// The statements that a user ran in this browser.

export interface Recent {
  sql: string;
  at: string;
  rows: number | null;
}

const MOST = 50;

const key = (user: string) => `headwater.statements.${user}`;

export function recent(user: string): Recent[] {
  try {
    const stored: unknown = JSON.parse(localStorage.getItem(key(user)) ?? "[]");
    return Array.isArray(stored) ? (stored as Recent[]) : [];
  } catch {
    return [];
  }
}

/** Adds a statement in front. The same statement is there once. */
export function remember(user: string, statement: Recent): void {
  const others = recent(user).filter((one) => one.sql !== statement.sql);
  localStorage.setItem(key(user), JSON.stringify([statement, ...others].slice(0, MOST)));
}

export function forget(user: string): void {
  localStorage.removeItem(key(user));
}

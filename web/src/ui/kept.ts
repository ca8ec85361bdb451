// What the console keeps in this browser for its user. It goes at logout, and before another user sees it.

const PREFIX = "headwater.";

/** Returns what is kept under a name. Null if nothing is, or if the browser stores nothing. */
export function kept(name: string): unknown {
  try {
    return JSON.parse(localStorage.getItem(PREFIX + name) ?? "null");
  } catch {
    return null;
  }
}

/** Keeps a value. A browser that stores nothing keeps it as long as the tab. */
export function keep(name: string, value: unknown): void {
  try {
    localStorage.setItem(PREFIX + name, JSON.stringify(value));
  } catch {
    // Nothing depends on it.
  }
}

/** Forgets everything, because another user may log in. */
export function forgetAll(): void {
  try {
    for (const key of Object.keys(localStorage)) if (key.startsWith(PREFIX)) localStorage.removeItem(key);
  } catch {
    // A browser that stores nothing has nothing to forget.
  }
}

/** Forgets what another user left, whose session may have expired in this browser without a logout. */
export function keepOnlyOf(user: string): void {
  if (kept("user") === user) return;
  forgetAll();
  keep("user", user);
}

// The pages that the user visited in this browser, newest first.

import { useSyncExternalStore } from "react";

export interface Visit {
  path: string;
  title: string;
}

const KEY = "headwater.recent";
const USER_KEY = "headwater.recent.user";
const MAX_VISITS = 12;
const listeners = new Set<() => void>();
let visits: Visit[] = stored();

function stored(): Visit[] {
  try {
    const found: unknown = JSON.parse(localStorage.getItem(KEY) ?? "[]");
    return Array.isArray(found) ? found.filter((one): one is Visit => typeof one?.path === "string" && typeof one?.title === "string") : [];
  } catch {
    return [];
  }
}

/** Records a visit. A page that was visited before moves to the front. */
export function visited(visit: Visit): void {
  visits = [visit, ...visits.filter((one) => one.path !== visit.path)].slice(0, MAX_VISITS);
  try {
    localStorage.setItem(KEY, JSON.stringify(visits));
  } catch {
    // A browser that stores nothing shows the visits of this tab.
  }
  for (const listener of [...listeners]) listener();
}

/** Forgets the visits, because another user may log in. */
export function forgetVisits(): void {
  visits = [];
  localStorage.removeItem(KEY);
  for (const listener of [...listeners]) listener();
}

/** Forgets the visits of another user, whose session may have expired in this browser without a logout. */
export function keepVisitsOf(user: string): void {
  try {
    const former = localStorage.getItem(USER_KEY);
    if (former !== null && former !== user) forgetVisits();
    localStorage.setItem(USER_KEY, user);
  } catch {
    // A browser that stores nothing has no visits of others.
  }
}

export function useRecent(): Visit[] {
  const subscribe = (listener: () => void) => {
    listeners.add(listener);
    return () => listeners.delete(listener);
  };
  return useSyncExternalStore(subscribe, () => visits);
}

// The pages that the user visited in this browser, newest first.

import { useSyncExternalStore } from "react";
import { keep, keepOnlyOf, kept } from "./kept";

export interface Visit {
  path: string;
  title: string;
}

const NAME = "recent";
const MAX_VISITS = 12;
const listeners = new Set<() => void>();
/** Those of this tab, until it is known whose browser this is. */
let visits: Visit[] = [];
let known = false;

function stored(): Visit[] {
  const found = kept(NAME);
  return Array.isArray(found) ? found.filter((one): one is Visit => typeof one?.path === "string" && typeof one?.title === "string") : [];
}

function put(changed: Visit[]): void {
  visits = changed.filter((one, number) => changed.findIndex((other) => other.path === one.path) === number).slice(0, MAX_VISITS);
  for (const listener of [...listeners]) listener();
}

/** Records a visit. A page that was visited before moves to the front. */
export function visited(visit: Visit): void {
  put([visit, ...visits]);
  if (known) keep(NAME, visits);
}

/** Shows the visits that this user made in this browser before, and forgets those of any other. */
export function keepVisitsOf(user: string): void {
  keepOnlyOf(user);
  known = true;
  put([...visits, ...stored()]);
  keep(NAME, visits);
}

export function useRecent(): Visit[] {
  const subscribe = (listener: () => void) => {
    listeners.add(listener);
    return () => listeners.delete(listener);
  };
  return useSyncExternalStore(subscribe, () => visits);
}

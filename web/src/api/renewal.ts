// A session that ends while a page is open: requests wait for a new login, so that the page keeps what is on it.

import { useSyncExternalStore } from "react";

let waiting: { promise: Promise<void>; done: () => void } | null = null;
const listeners = new Set<() => void>();

function tell() {
  for (const listener of [...listeners]) listener();
}

/** Resolves when the user has logged in again. */
export function renewed(): Promise<void> {
  if (!waiting) {
    let done = () => {};
    const promise = new Promise<void>((resolve) => {
      done = resolve;
    });
    waiting = { promise, done };
    tell();
  }
  return waiting.promise;
}

/** Lets the requests go on that wait for a login. */
export function goOn(): void {
  waiting?.done();
  waiting = null;
  tell();
}

/** Whether requests wait for a login. */
export function useExpired(): boolean {
  const subscribe = (listener: () => void) => {
    listeners.add(listener);
    return () => listeners.delete(listener);
  };
  return useSyncExternalStore(subscribe, () => waiting !== null);
}

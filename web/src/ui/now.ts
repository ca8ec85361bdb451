import { useEffect, useState, useSyncExternalStore } from "react";

// One timer for all relative times of a page.
let now = Date.now();
const listeners = new Set<() => void>();

setInterval(() => {
  now = Date.now();
  for (const listener of listeners) listener();
}, 30_000);

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** The present time, which is current to half a minute. */
export function useNow(): number {
  return useSyncExternalStore(subscribe, () => now);
}

/** The present time, by the second as long as something on the page runs. */
export function useSeconds(runs: boolean): number {
  const [seconds, setSeconds] = useState(Date.now);
  useEffect(() => {
    if (!runs) return;
    const timer = setInterval(() => setSeconds(Date.now()), 1_000);
    return () => clearInterval(timer);
  }, [runs]);
  return seconds;
}

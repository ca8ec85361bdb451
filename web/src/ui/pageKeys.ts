// The keys that work on the page, for the sheet of shortcuts.

import { useEffect, useSyncExternalStore } from "react";

export interface Shortcut {
  keys: string[];
  does: string;
}

let lists: Shortcut[][] = [];
let shown: Shortcut[] = [];
const listeners = new Set<() => void>();

function put(changed: Shortcut[][]): void {
  lists = changed;
  shown = lists.flat();
  for (const listener of [...listeners]) listener();
}

/** Lists the keys of a page as long as it is open. The list must be the same object on each call. */
export function useShortcuts(shortcuts: Shortcut[]): void {
  useEffect(() => {
    put([...lists, shortcuts]);
    return () => put(lists.filter((one) => one !== shortcuts));
  }, [shortcuts]);
}

export function useShownShortcuts(): Shortcut[] {
  const subscribe = (listener: () => void) => {
    listeners.add(listener);
    return () => listeners.delete(listener);
  };
  return useSyncExternalStore(subscribe, () => shown);
}

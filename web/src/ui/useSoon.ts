import { useDebouncedCallback } from "@mantine/hooks";
import { useRouter, useRouterState } from "@tanstack/react-router";

/** Runs a change of the address after a pause in typing. A user who leaves the page meanwhile stays where they went. */
export function useSoon<T>(run: (value: T) => void, delayMs: number): (value: T) => void {
  const router = useRouter();
  const path = useRouterState({ select: (state) => state.resolvedLocation?.pathname ?? state.location.pathname });
  return useDebouncedCallback((value: T) => {
    if (router.latestLocation.pathname === path) run(value);
  }, delayMs);
}

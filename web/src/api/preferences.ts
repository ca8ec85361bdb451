// The preferences of the user: how the console looks, and what they keep in it.

import { queryOptions, useQuery, useQueryClient } from "@tanstack/react-query";
import { useCallback } from "react";
import type { Preferences, PreferencesChange } from "./generated/admin";
import { type Answer, Problem, send } from "./http";

const PATH = "/api/v1/admin/preferences/current";
const CHANGED_MEANWHILE = 412;

export const preferences = queryOptions({
  queryKey: ["preferences"],
  queryFn: ({ signal }) => send<Preferences>("GET", PATH, { signal }),
  staleTime: 60_000,
});

export function usePreferences(): Preferences | undefined {
  return useQuery(preferences).data?.body;
}

/** What a change makes of the present preferences. */
export type Revise = (now: Preferences) => PreferencesChange;

/** Changes preferences. Lists are replaced as a whole, so what another window changed meanwhile is read first. */
export function useChangePreferences(): (revise: Revise) => Promise<void> {
  const queries = useQueryClient();
  return useCallback(
    async (revise) => {
      const change = async (before: Answer<Preferences>) => {
        const answer = await send<Preferences>("PATCH", PATH, { body: revise(before.body), etag: before.etag });
        // The answer has no ETag of its own, so the next change reads the preferences again.
        queries.setQueryData(preferences.queryKey, answer);
      };
      const read = () => send<Preferences>("GET", PATH);
      try {
        await change(await read());
      } catch (error) {
        if (!(error instanceof Problem) || error.status !== CHANGED_MEANWHILE) throw error;
        await change(await read());
      }
    },
    [queries],
  );
}

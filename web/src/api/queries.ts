import { QueryClient } from "@tanstack/react-query";

/** What the console has read. Routes begin to read before their page is loaded. */
export const queries = new QueryClient({
  // The platform may run on this machine, so that a browser that is offline reaches it. One that doesn't says so.
  defaultOptions: { queries: { staleTime: 5_000, retry: 1, networkMode: "always" }, mutations: { networkMode: "always" } },
});

import { useQueryClient } from "@tanstack/react-query";
import { preferences } from "../api/preferences";
import { useNow } from "./now";
import { absolute, relative } from "./relative";

/** A relative time. Its title is the absolute one, in the time zone that the user prefers. */
export function Time({ value }: { value: string }) {
  const now = useNow();
  const queries = useQueryClient();
  const instant = new Date(value);
  if (Number.isNaN(instant.getTime())) return <>{value}</>;
  // Lists have hundreds of times, and people point at few of them.
  const explain = (element: HTMLElement) => {
    element.title = absolute(instant, queries.getQueryData(preferences.queryKey)?.body.time_zone ?? undefined);
  };
  return <time dateTime={value} onPointerEnter={(event) => explain(event.currentTarget)}>{relative(instant, now)}</time>;
}

import { Tooltip } from "@mantine/core";
import { usePreferences } from "../api/preferences";
import { useNow } from "./now";
import { relative } from "./relative";

/** A relative time with the absolute one in a tooltip, in the time zone that the user prefers. */
export function Time({ value }: { value: string }) {
  const now = useNow();
  const timeZone = usePreferences()?.time_zone ?? undefined;
  const instant = new Date(value);
  if (Number.isNaN(instant.getTime())) return <>{value}</>;
  return (
    <Tooltip label={instant.toLocaleString(undefined, { timeZone, dateStyle: "medium", timeStyle: "long" })} openDelay={300}>
      <time dateTime={value}>{relative(instant, now)}</time>
    </Tooltip>
  );
}

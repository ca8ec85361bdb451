import { Tooltip } from "@mantine/core";
import { useNow } from "./now";
import { relative } from "./relative";

/** A relative time with the absolute one in a tooltip. */
export function Time({ value }: { value: string }) {
  const now = useNow();
  const instant = new Date(value);
  if (Number.isNaN(instant.getTime())) return <>{value}</>;
  return (
    <Tooltip label={instant.toLocaleString()} openDelay={300}>
      <time dateTime={value}>{relative(instant, now)}</time>
    </Tooltip>
  );
}

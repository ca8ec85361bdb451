import { Badge, type BadgeProps } from "@mantine/core";
import { stateColor } from "../fields/Value";

const ACTIVE = /^(QUEUED|STARTING|RUNNING|CANCELING|WAITING)$/;

/** A state in a word and a color. */
export function State({ value, ...look }: { value: string } & BadgeProps) {
  const color = ACTIVE.test(value) ? "blue" : stateColor(value);
  return <Badge variant="light" color={color} tt="none" miw="max-content" {...look}>{value.charAt(0) + value.slice(1).toLowerCase()}</Badge>;
}

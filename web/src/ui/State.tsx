import { Badge, type BadgeProps } from "@mantine/core";
import { words } from "../api/schema";
import { stateColor } from "./stateColor";

const ACTIVE = /^(QUEUED|STARTING|RUNNING|CANCELING|WAITING)$/;

/** A state in a word and a color. */
export function State({ value, ...look }: { value: string } & BadgeProps) {
  const color = ACTIVE.test(value) ? "blue" : stateColor(value);
  return <Badge variant="light" color={color} tt="none" miw="max-content" title={value} {...look}>{words(value.toLowerCase())}</Badge>;
}

import { Badge, type BadgeProps } from "@mantine/core";
import type { ReactNode } from "react";
import { words } from "../api/schema";
import { stateColor } from "./stateColor";

interface Props extends BadgeProps {
  /** The state as the API names it. It decides the word and the color where a page has none of its own. */
  value?: string;
  children?: ReactNode;
  title?: string;
  role?: "status";
}

/** A state in a word and a color. All states of the console look like this. */
export function State({ value = "", color, children, ...look }: Props) {
  return (
    <Badge variant="light" color={color ?? stateColor(value)} tt="none" miw={children ? undefined : "max-content"} title={value || undefined} {...look}>
      {children ?? words(value.toLowerCase())}
    </Badge>
  );
}

import { Anchor, type AnchorProps, Button, type ButtonProps } from "@mantine/core";
import { Link, type LinkProps } from "@tanstack/react-router";
import type { ReactNode } from "react";

interface Target {
  to: string;
  /** What the address of the page holds beside its path. */
  search?: object;
  children: ReactNode;
  title?: string;
}

/** A link to a page of the console. */
export function PageLink({ to, search, children, ...look }: Target & AnchorProps) {
  return <Anchor {...look} renderRoot={(props) => <Link {...props} {...({ to, search } as LinkProps)} />}>{children}</Anchor>;
}

/** A link to a page of the console that looks like a button. */
export function PageButton({ to, search, children, ...look }: Target & ButtonProps) {
  return <Button {...look} renderRoot={(props) => <Link {...props} {...({ to, search } as LinkProps)} />}>{children}</Button>;
}

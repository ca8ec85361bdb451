import { useRouter } from "@tanstack/react-router";
import type { MouseEvent } from "react";
import { BASE } from "../api/http";
import classes from "./RowLink.module.css";

interface Props {
  to: string;
  children: string;
  title?: string;
  isCode?: boolean;
}

/** A link to a page of the console in a row. Lists draw hundreds, and a link of the router takes a third of a row. */
export function RowLink({ to, children, title, isCode }: Props) {
  const router = useRouter();
  const open = (event: MouseEvent) => {
    if (event.button !== 0 || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    void router.navigate({ to });
  };
  return <a className={classes.link} data-code={isCode || undefined} href={BASE + to} title={title} onClick={open} onPointerEnter={() => void router.preloadRoute({ to })}>{children}</a>;
}

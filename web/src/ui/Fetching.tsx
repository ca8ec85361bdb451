import { useIsFetching } from "@tanstack/react-query";
import { useEffect } from "react";

/** Marks the document while it reads, so that tests and pictures can wait for what a page shows. */
export function Fetching() {
  const count = useIsFetching();
  useEffect(() => {
    document.documentElement.toggleAttribute("data-fetching", count > 0);
  }, [count]);
  return null;
}

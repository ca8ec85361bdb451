import { useIsFetching } from "@tanstack/react-query";
import { useRouterState } from "@tanstack/react-router";
import { useEffect } from "react";

/** Marks the document with the page that it shows and while it reads, so that tests and pictures can wait for both. */
export function Fetching() {
  const count = useIsFetching();
  const page = useRouterState({ select: (state) => state.resolvedLocation?.pathname ?? "" });
  useEffect(() => {
    document.documentElement.toggleAttribute("data-fetching", count > 0);
  }, [count]);
  useEffect(() => {
    document.documentElement.dataset.page = page;
  }, [page]);
  return null;
}

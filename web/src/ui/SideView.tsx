import { useQuery } from "@tanstack/react-query";
import { useNavigate, useRouterState } from "@tanstack/react-router";
import { lazy, Suspense, useEffect } from "react";
import { BASE } from "../api/http";
import { type Catalogue, catalogues, kindOf, method } from "../api/platform";
import { useKeys } from "./useKeys";

const Peek = lazy(() => import("../kernel/Peek").then(({ Peek }) => ({ default: Peek })));

/** The place of an item, as its address and the parameter `side` have it: service, plural, and id. */
type Place = [service: string, plural: string, id: string];

function placeOf(known: Catalogue[], text: string): Place | undefined {
  const [service = "", plural = "", id = "", ...rest] = text.split("/").map(decodeURIComponent);
  const kind = kindOf(known, service, plural);
  return kind && method(kind, "get") && id && id !== "new" && !rest.length ? [service, plural, id] : undefined;
}

/** The item that a link of the page leads to, opened beside the page. Its place is in the address. */
export function SideView() {
  const { data: known = [] } = useQuery(catalogues);
  const search = useRouterState({ select: (state) => state.location.search as { side?: unknown } });
  const navigate = useNavigate();
  const place = typeof search.side === "string" ? placeOf(known, search.side) : undefined;
  // No page declares this parameter, so that none takes it for its own.
  const show = (side: string | undefined) => void navigate({ to: ".", search: ((before: object) => ({ ...before, side })) as never, replace: true });
  useEffect(() => {
    const open = (event: MouseEvent | KeyboardEvent) => {
      const link = (event.target as Element).closest?.<HTMLAnchorElement>("main a[href]");
      if (!link || link.origin !== location.origin) return;
      const text = link.pathname.slice(BASE.length + 1);
      if (!placeOf(known, text)) return;
      event.preventDefault();
      event.stopPropagation();
      show(text);
    };
    const onClick = (event: MouseEvent) => event.altKey && open(event);
    const onKey = (event: KeyboardEvent) => event.key === " " && !event.ctrlKey && !event.metaKey && !event.altKey && open(event);
    // Before the link itself sees the event.
    document.addEventListener("click", onClick, true);
    document.addEventListener("keydown", onKey, true);
    return () => {
      document.removeEventListener("click", onClick, true);
      document.removeEventListener("keydown", onKey, true);
    };
  });
  useKeys({ Escape: () => place && show(undefined) });
  if (!place) return null;
  const [service, plural, id] = place;
  return (
    <Suspense fallback={null}>
      <Peek key={place.join("/")} service={service} plural={plural} id={id} page={`/${place.map(encodeURIComponent).join("/")}`} onClose={() => show(undefined)} />
    </Suspense>
  );
}

// What the page at an address read, so that people can repeat it outside the console.

export interface Read {
  method: string;
  path: string;
  query?: Record<string, string | number | boolean | string[] | null | undefined>;
  body?: unknown;
}

/** What every page reads: who is logged in, what they may do, and what the platform offers. */
const OF_THE_FRAME = /^\/api\/(openapi$|v1\/[^/]+\/(openapi\.json|kinds)$|v1\/admin\/(sessions|preferences|decisions)\b|v1\/ai-catalog\/search$)/;

let page = "";
const reads = new Map<string, Read>();

/** Remembers a request of the present page. The same one with another query replaces it; a further page of a list doesn't. */
export function remember(read: Read): void {
  if (OF_THE_FRAME.test(read.path) || read.query?.page_token) return;
  if (location.pathname !== page) reads.clear();
  page = location.pathname;
  reads.set(`${read.method} ${read.path}`, read);
}

/** Returns what the present page read: first what its address names, then the rest in the order of the requests. */
export function readsHere(): Read[] {
  if (location.pathname !== page) return [];
  const id = location.pathname.split("/").at(-1) ?? "";
  const isOfItem = (read: Read) => id !== "" && read.path.endsWith(`/${id}`);
  return [...reads.values()].sort((one, other) => Number(isOfItem(other)) - Number(isOfItem(one)));
}

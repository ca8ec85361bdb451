// Changes as they happen: one stream of the API tells which items changed, for all tabs of this browser together.

import { type QueryKey, useQueryClient } from "@tanstack/react-query";
import { useCallback, useEffect, useRef, useState } from "react";
import { BASE } from "./http";

export interface Change {
  /** `<service>.<kind>` */
  kind: string;
  id: string;
  sequence: number | null;
}

export interface Changes {
  items: Change[];
  /** Whether changes are missing, so that everything on the page has to be read again. */
  incomplete: boolean;
}

type Listener = (changes: Changes) => void;

const PATH = "/api/v1/changes:watch";
const CHANNEL = "headwater-changes";
const FIRST_RETRY_MS = 2_000;
const MAX_RETRY_MS = 60_000;
const EVERYTHING: Changes = { items: [], incomplete: true };

const listeners = new Set<Listener>();
let close: (() => void) | null = null;

/** Calls the listener with all changes that the user can see. Returns what ends that. */
export function listen(listener: Listener): () => void {
  listeners.add(listener);
  close ??= open(tell);
  return () => {
    listeners.delete(listener);
    if (listeners.size) return;
    close?.();
    close = null;
  };
}

function tell(changes: Changes) {
  for (const listener of [...listeners]) listener(changes);
}

/** Opens the stream. A browser has six connections to a site, so one tab reads it and tells the others. */
function open(onChanges: Listener): () => void {
  if (typeof navigator === "undefined" || !navigator.locks || typeof BroadcastChannel === "undefined") return read(onChanges);
  const channel = new BroadcastChannel(CHANNEL);
  const left = new AbortController();
  let stop = () => {};
  channel.onmessage = ({ data }: MessageEvent<Changes>) => onChanges(data);
  const lead = () =>
    new Promise<void>((resolve) => {
      // The lock can arrive after the page has stopped to listen. Nothing would end the stream then.
      if (left.signal.aborted) return resolve();
      const end = read((changes) => {
        onChanges(changes);
        channel.postMessage(changes);
      });
      stop = () => {
        end();
        resolve();
      };
    });
  // The tab that read until now may have missed something while it closed.
  const leadAfter = () => {
    onChanges(EVERYTHING);
    return lead();
  };
  void navigator.locks
    .request(CHANNEL, { ifAvailable: true }, (lock) => (lock ? lead() : undefined))
    .then(() => (left.signal.aborted ? undefined : navigator.locks.request(CHANNEL, { signal: left.signal }, leadAfter)))
    .catch(() => {});
  return () => {
    left.abort();
    stop();
    channel.close();
  };
}

/** Reads the stream until the returned function is called. The browser resumes it after a break of the connection. */
export function read(onChanges: Listener): () => void {
  let source: EventSource | null = null;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let wait = FIRST_RETRY_MS;
  let begun = false;
  const connect = () => {
    source = new EventSource(BASE + PATH);
    source.addEventListener("started", () => {
      wait = FIRST_RETRY_MS;
      // Events are resumed, but states of assets that changed meanwhile are not.
      if (begun) onChanges(EVERYTHING);
      begun = true;
    });
    source.addEventListener("changed", (event) => {
      const changes = JSON.parse((event as MessageEvent<string>).data) as Changes;
      onChanges({ items: changes.items, incomplete: changes.incomplete });
    });
    source.addEventListener("error", (event) => {
      // The platform has refused or ended the stream: the browser doesn't try again.
      const ended = event instanceof MessageEvent || source?.readyState === 2;
      if (!ended) return;
      source?.close();
      timer = setTimeout(connect, wait);
      wait = Math.min(wait * 2, MAX_RETRY_MS);
    });
  };
  connect();
  return () => {
    clearTimeout(timer);
    source?.close();
  };
}

export function concerns(changes: Changes, kinds: string[], id?: string): boolean {
  return changes.incomplete || changes.items.some((item) => kinds.includes(item.kind) && (id === undefined || item.id === id));
}

/** Reads these queries again when an item of the kinds changes, or the one item with this id. */
export function useLive(kinds: string[], queryKey: QueryKey, id?: string): void {
  const queries = useQueryClient();
  const key = JSON.stringify([kinds, queryKey, id]);
  useEffect(() => {
    const [ofKinds, keyOfQuery, ofId] = JSON.parse(key) as [string[], QueryKey, string | undefined];
    return listen((changes) => {
      if (concerns(changes, ofKinds, ofId ?? undefined)) void queries.invalidateQueries({ queryKey: keyOfQuery });
    });
  }, [key, queries]);
}

/** The number of items of these kinds that changed since the last call of the returned function, for a list. */
export function useChanged(kinds: string[]): [number, () => void] {
  const ids = useRef(new Set<string>());
  const [count, setCount] = useState(0);
  const key = kinds.join(" ");
  useEffect(
    () =>
      listen((changes) => {
        for (const item of changes.items) if (key.split(" ").includes(item.kind)) ids.current.add(item.id);
        setCount(ids.current.size);
      }),
    [key],
  );
  const clear = useCallback(() => {
    ids.current.clear();
    setCount(0);
  }, []);
  return [count, clear];
}

// The log of a run or an operation, read from its stream of server-sent events.

import { useEffect, useReducer, useRef } from "react";
import { type LogLine, rowsOf } from "../ui/logLines";
import { BASE, get, Problem } from "./http";

/** An event of the stream: a line, or a change of the state. */
export interface LogEvent extends LogLine {
  state: string;
  progress: { done: number; total: number };
}

export interface Log {
  lines: LogLine[];
  /** The latest event, which has the state and how far it is. */
  latest: LogEvent | null;
  /** Whether the stream has ended, because what it reports on has. */
  ended: boolean;
  error: unknown;
}

/** Reads a log as long as the page is open. Lines arrive in any number, and the page is drawn once a frame. */
export function useLog(path: string | null, onEnd?: () => void): Log {
  const log = useRef<Log>({ lines: [], latest: null, ended: false, error: null });
  const [, draw] = useReducer((count: number) => count + 1, 0);
  const latest = useRef(onEnd);
  latest.current = onEnd;
  useEffect(() => {
    log.current = { lines: [], latest: null, ended: false, error: null };
    draw();
    if (!path) return;
    const source = new EventSource(BASE + path);
    const asking = new AbortController();
    let waits = 0;
    const change = (changed: Partial<Log>) => {
      Object.assign(log.current, changed);
      waits ||= requestAnimationFrame(() => {
        waits = 0;
        log.current = { ...log.current };
        draw();
      });
    };
    source.addEventListener("log", (event) => {
      const line = read(event);
      for (const row of rowsOf(line)) log.current.lines.push(row);
      change({ latest: line });
    });
    source.addEventListener("state", (event) => change({ latest: read(event) }));
    source.addEventListener("end", (event) => {
      source.close();
      change({ latest: read(event), ended: true });
      latest.current?.();
    });
    source.addEventListener("error", (event) => {
      if (event instanceof MessageEvent) {
        const problem = JSON.parse(event.data as string) as Record<string, unknown>;
        source.close();
        change({ ended: true, error: new Problem(Number(problem.status), problem, String(problem.request_id ?? "")) });
      } else if (source.readyState === EventSource.CLOSED) {
        // The platform refused the stream. The browser doesn't say why, so the request is sent again.
        get(path, { signal: asking.signal })
          .then(() => {
            asking.abort();
            change({ ended: true });
          })
          .catch((error: unknown) => asking.signal.aborted || change({ ended: true, error }));
      }
    });
    return () => {
      source.close();
      asking.abort();
      cancelAnimationFrame(waits);
    };
  }, [path]);
  return log.current;
}

function read(event: Event): LogEvent {
  return JSON.parse((event as MessageEvent<string>).data) as LogEvent;
}

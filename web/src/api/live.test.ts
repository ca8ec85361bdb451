import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { type Changes, concerns, listen, read } from "./live";

class Source extends EventTarget {
  static opened: Source[] = [];
  readyState = 1;
  constructor(readonly url: string) {
    super();
    Source.opened.push(this);
  }
  close() {
    this.readyState = 2;
  }
  say(type: string, data?: unknown) {
    this.dispatchEvent(data === undefined ? new Event(type) : new MessageEvent(type, { data: JSON.stringify(data) }));
  }
}

const CHANGE = { items: [{ kind: "admin.group", id: "grp_1", sequence: 3 }], incomplete: false };
const last = () => Source.opened.at(-1) as Source;

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal("EventSource", Source);
  vi.stubGlobal("navigator", {});
  Source.opened = [];
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

it("tells the changes, and everything after a break", () => {
  const told: Changes[] = [];
  const stop = read((changes) => told.push(changes));
  last().say("started", { after: 1, items: [], incomplete: false });
  last().say("changed", { after: 3, ...CHANGE });
  expect(told).toEqual([CHANGE]);
  last().say("started", { after: 3, items: [], incomplete: false });
  expect(told.at(-1)).toEqual({ items: [], incomplete: true });
  stop();
  expect(last().readyState).toBe(2);
});

it("leaves a lost connection to the browser, and opens a stream that was ended again, later and later", () => {
  const stop = read(() => {});
  last().say("error");
  vi.advanceTimersByTime(120_000);
  expect(Source.opened.length).toBe(1);
  last().say("error", { status: 401 });
  vi.advanceTimersByTime(2_000);
  expect(Source.opened.length).toBe(2);
  last().say("error", { status: 401 });
  vi.advanceTimersByTime(2_000);
  expect(Source.opened.length).toBe(2);
  vi.advanceTimersByTime(2_000);
  expect(Source.opened.length).toBe(3);
  stop();
  vi.advanceTimersByTime(600_000);
  expect(Source.opened.length).toBe(3);
});

it("shares one stream and closes it with the last listener", () => {
  const stops = [listen(() => {}), listen(() => {})];
  expect(Source.opened.length).toBe(1);
  stops[0]?.();
  expect(last().readyState).toBe(1);
  stops[1]?.();
  expect(last().readyState).toBe(2);
});

it("concerns a page whose kind or item changed, and every page when changes are missing", () => {
  expect(concerns(CHANGE, ["admin.group"])).toBe(true);
  expect(concerns(CHANGE, ["admin.group"], "grp_2")).toBe(false);
  expect(concerns(CHANGE, ["admin.user"])).toBe(false);
  expect(concerns({ items: [], incomplete: true }, ["admin.user"])).toBe(true);
});

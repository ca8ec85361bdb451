import { describe, expect, it } from "vitest";
import { bytes, seconds, share } from "../../../ui/quantities";
import { failing, type OperationLoad, type PlatformState, rates, slowest, troubles } from "./state";

const load = (changed: Partial<OperationLoad>): OperationLoad => ({ service: "admin", operation: "list", requests: 0, refused: 0, failed: 0, seconds: 0, p95_seconds: null, ...changed });

const state = (changed: Partial<PlatformState>): PlatformState => ({
  measured_at: "2026-01-01T00:00:00Z",
  started_at: "2026-01-01T00:00:00Z",
  processes: null,
  in_flight: 1,
  operations: [],
  rejected: [],
  pools: [],
  dependencies: [],
  gauges: [],
  database: { system: "sqlite", bytes: 1, seconds: 0.001 },
  volumes: [],
  ...changed,
});

describe("rates", () => {
  const first = state({ operations: [load({ requests: 10, failed: 1, seconds: 1 })] });
  const second = state({ measured_at: "2026-01-01T00:00:05Z", operations: [load({ requests: 20, failed: 2, seconds: 3 })] });

  it("are differences over the time between samples", () => {
    expect(rates([first, second])).toEqual([{ at: second.measured_at, requestsPerSecond: 2, failedPerSecond: 0.2, meanSeconds: 0.2 }]);
  });

  it("are unknown across a restart, and without requests", () => {
    expect(rates([first, { ...second, started_at: "2026-01-01T00:00:04Z" }])).toEqual([]);
    expect(rates([first])).toEqual([]);
    expect(rates([first, { ...first, measured_at: "2026-01-01T00:00:05Z" }])[0]?.meanSeconds).toBeNull();
  });
});

describe("what needs attention", () => {
  it("is nothing while everything works", () => {
    expect(troubles(state({ volumes: [{ purpose: "Home folder", total_bytes: 100, free_bytes: 50 }] }))).toEqual([]);
  });

  it("names each part that doesn't work", () => {
    const process = { name: "api", state: "READY", restarts: 2, exit_code: 1, started_at: null, memory_bytes: null, cpu_seconds: null };
    const found = troubles(state({
      processes: [process, { ...process, name: "dagster", state: "RESTARTING" }],
      dependencies: [{ name: "mail", breaker: "OPEN", calls: 1, failures: 1, refused: 0, retries: 0 }],
      pools: [{ name: "SQL queries", held: 0, limit: 18, refused: 3 }],
      gauges: [{ name: "headwater_lag", description: "", values: null }, { name: "headwater_outbox_dead_letters", description: "", values: [{ label: "webhook:a", value: 2 }] }],
      database: { system: "sqlite", bytes: null, seconds: null },
      volumes: [{ purpose: "Lakehouse", total_bytes: 100, free_bytes: 5 }, { purpose: "Vectors", total_bytes: null, free_bytes: null }],
    }));
    expect(found).toHaveLength(8);
    expect(found[0]).toBe("The process api restarted 2 times. Its last exit code is 1.");
    expect(found.at(-1)).toBe("Lakehouse: less than 10% of the disk is free.");
  });
});

it("orders operations by their mean time, and shows failures only where there are any", () => {
  const operations = [load({ operation: "a", requests: 2, seconds: 1 }), load({ operation: "b", requests: 1, seconds: 1, failed: 1 })];
  expect(slowest(state({ operations }), 1).map((one) => one.operation)).toEqual(["b"]);
  expect(failing(state({ operations })).map((one) => one.operation)).toEqual(["b"]);
});

it("writes quantities with units", () => {
  expect([bytes(0), bytes(999), bytes(1500), bytes(2_340_000_000)]).toEqual(["0 B", "999 B", "1.5 kB", "2.3 GB"]);
  expect([seconds(0.0123), seconds(2.5), seconds(600), seconds(7200)]).toEqual(["12.3 ms", "2.5 s", "10 min", "2 h"]);
  expect([share(1, 3), share(1, 0)]).toEqual(["33.3%", "none"]);
});

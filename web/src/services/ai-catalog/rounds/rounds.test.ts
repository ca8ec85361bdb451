import { expect, it } from "vitest";
import { isAssetId, linesOf, type Round, trainingsOf } from "./rounds";

const round = (training: string, number: number, clients: Record<string, number>): Round =>
  ({
    training,
    round: number,
    overall: { auc: 0.5 + number / 10 },
    clients: Object.entries(clients).map(([client, auc]) => ({ client, auc })),
  }) as unknown as Round;

const ROUNDS = [round("old", 1, { A: 0.4 }), round("new", 1, { A: 0.5, B: 0.6 }), round("new", 2, { A: 0.7 })];

it("has the newest training first", () => {
  expect(trainingsOf(ROUNDS)).toEqual(["new", "old"]);
});

it("draws a gap where a client did not take part", () => {
  expect(linesOf(ROUNDS.slice(1), "auc")).toEqual([
    { name: "A", points: [[1, 0.5], [2, 0.7]] },
    { name: "B", points: [[1, 0.6], [2, null]] },
    { name: "All", points: [[1, 0.6], [2, 0.7]] },
  ]);
  expect(linesOf(ROUNDS, "bytes_sent").map((one) => one.name)).toEqual(["A", "B"]);
});

it("puts nothing but ids of assets into a statement", () => {
  expect([isAssetId("flights.rounds.arrival_delay"), isAssetId("a.b"), isAssetId("a.b.c; DROP"), isAssetId("(SELECT 1)")]).toEqual([true, false, false, false]);
});

import { expect, test } from "vitest";
import { catalogSearch, chosenCount, toggled } from "./search";

test("an address with one or several values, and with nonsense", () => {
  expect(catalogSearch({ project: "flights", layer: ["gold", 3, ""], q: 12, sort: "up", retired: "yes", other: 1 })).toEqual({ project: ["flights"], layer: ["gold"], q: "12" });
});

test("a value is chosen and chosen no more", () => {
  const chosen = toggled({ q: "delay" }, "layer", "gold");
  expect(chosen).toEqual({ q: "delay", layer: ["gold"] });
  expect(toggled(chosen, "layer", "gold").layer).toBeUndefined();
  expect(chosenCount(toggled(chosen, "health", "DEGRADED"))).toBe(2);
});

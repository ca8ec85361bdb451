import { expect, it } from "vitest";
import { addresses } from "./addresses";

it("reads addresses however they are separated, each once", () => {
  expect(addresses("ada@example.org, bob@example.org;\ncleo@example.org\n\nada@example.org")).toEqual({ valid: ["ada@example.org", "bob@example.org", "cleo@example.org"], invalid: [] });
});

it("reads addresses with the names of people", () => {
  expect(addresses("Ada Lovelace <ada@example.org>, Bob <bob@example.org>").valid).toEqual(["ada@example.org", "bob@example.org"]);
});

it("names what is no address", () => {
  expect(addresses("ada@example.org bob @nowhere")).toEqual({ valid: ["ada@example.org"], invalid: ["bob", "@nowhere"] });
});

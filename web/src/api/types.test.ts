import { expect, it } from "vitest";
// @ts-expect-error - a script for Node, without types
import { types } from "../../types.mjs";

it("types say what can be null, what can be left out, and what the choices are", () => {
  const schemas = {
    State: { type: "string", enum: ["OPEN", "CLOSED"] },
    Item: {
      type: "object",
      required: ["state", "owner", "x-key"],
      properties: {
        state: { $ref: "#/components/schemas/State", description: "How it is." },
        owner: { anyOf: [{ type: "string" }, { type: "null" }] },
        "x-key": { type: "array", items: { anyOf: [{ type: "integer" }, { type: "boolean" }] } },
        labels: { type: "object", additionalProperties: { type: "string" } },
      },
    },
  };
  expect(types({ components: { schemas } })).toBe(`export type State = "OPEN" | "CLOSED";

export type Item = {
  /** How it is. */
  state: State;
  owner: string | null;
  "x-key": (number | boolean)[];
  labels?: Record<string, string>;
};
`);
});

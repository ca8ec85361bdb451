import { describe, expect, it } from "vitest";
import { changedLines, difference } from "./difference";
import { lineOf, parsed, rangeOf, withAttribute, written } from "./text";

const TEXT = `# Made by hand.
component: SqlTransformComponent
attributes:
  asset: shop.gold.totals # the id
  sql: |
    SELECT 1
    AS one
  checks:
    - unique: [one]
    - range:
        column: one
        min: 0
`;

describe("the text of a definition", () => {
  it("is read as component and attributes", () => {
    const { component, attributes, problem } = parsed(TEXT);
    expect([component, attributes.asset, attributes.sql, problem]).toEqual(["SqlTransformComponent", "shop.gold.totals", "SELECT 1\nAS one\n", undefined]);
    expect(parsed(written(component, attributes))).toEqual({ component, attributes });
  });

  it("says at which line it can't be read", () => {
    expect(parsed("component: A\nattributes:\n  asset: [").problem?.line).toBe(3);
    expect(parsed("component: A\nattributes: {}\nsql: x\n").problem).toEqual({ line: 3, detail: "A definition has no field sql." });
    expect(parsed("nothing").problem?.line).toBe(1);
  });

  it("keeps comments when an attribute changes", () => {
    const changed = withAttribute(TEXT, "description", "Totals.");
    expect(changed).toContain("# Made by hand.");
    expect(changed).toContain("# the id");
    expect(parsed(changed).attributes.description).toBe("Totals.");
    expect(parsed(withAttribute(changed, "description", "")).attributes).toEqual(parsed(TEXT).attributes);
    expect(parsed(withAttribute("component: A\nattributes:\n  asset: a\n", "asset", null)).problem).toBeUndefined();
  });

  it("has the place of each pointer", () => {
    expect(lineOf(TEXT, "/attributes/asset")).toBe(4);
    expect(lineOf(TEXT, "/attributes/checks/1/range/min")).toBe(12);
    expect(lineOf(TEXT, "/attributes/checks/1")).toBe(10);
    expect(lineOf(TEXT, "/attributes/missing")).toBe(3);
    const { from, to } = rangeOf(TEXT, "/component");
    expect(TEXT.slice(from, to)).toBe("component");
  });
});

describe("the difference of two texts", () => {
  it("has kept, removed, and added lines in order", () => {
    expect(difference("a\nb\nc", "a\nx\nc").map(({ sign, text }) => sign + text)).toEqual([" a", "-b", "+x", " c"]);
    expect(difference("a", "a\nb").map(({ sign, text }) => sign + text)).toEqual([" a", "+b"]);
  });

  it("leaves out lines far from a change", () => {
    const before = [...Array(20).keys()].map(String).join("\n");
    const shown = changedLines(before, before.replace("10", "ten"));
    expect(shown.map(({ sign, text }) => sign + text)).toEqual([" 8", " 9", "-10", "+ten", " 11", " 12"]);
    expect(changedLines(before, before)).toEqual([]);
  });
});

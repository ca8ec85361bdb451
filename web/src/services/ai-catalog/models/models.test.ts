import { describe, expect, it } from "vitest";
import { changed } from "./drift";
import { assetOf, figures, leading, type ModelVersion, type RegisteredModel, type Run, short } from "./models";
import { instanceOf, rangeOf } from "./served";

const model = (aliases: Record<string, number>) => ({ id: "rmd_1", status: { aliases } }) as unknown as RegisteredModel;
const versions = [1, 2, 3].map((version) => ({ version, registered_model_id: "rmd_1", tags: {} })) as unknown as ModelVersion[];

describe("the version in use", () => {
  it("is the champion, else one with an alias, else the newest", () => {
    expect(leading(model({ champion: 1, challenger: 3 }), versions)?.version).toBe(1);
    expect(leading(model({ challenger: 2 }), versions)?.version).toBe(2);
    expect(leading(model({}), versions)?.version).toBe(3);
    expect(leading({ ...model({}), id: "rmd_2" }, versions)).toBeUndefined();
  });

  it("is a version of an asset only if the platform trained it", () => {
    expect(assetOf({ tags: { "headwater.asset": "a.b.c", "headwater.version": "t@1" } } as unknown as ModelVersion)).toEqual({ asset: "a.b.c", dataVersion: "t@1" });
    expect(assetOf({ tags: {} } as unknown as ModelVersion)).toBeNull();
  });
});

it("shows metrics with those of their baseline first", () => {
  const metrics = Object.fromEntries([["accuracy", 0.7], ["auc", 0.75], ["baseline_auc", 0.6]].map(([key, value]) => [key, { value, step: 0, at: "" }])) as Run["metrics"];
  expect(figures(metrics).map((one) => [one.key, one.value, one.baseline])).toEqual([["auc", 0.75, 0.6], ["accuracy", 0.7, undefined]]);
});

it("writes numbers short enough to compare", () => {
  expect([0.751703, 82609, 1e-9, -0.5, "NaN" as const, undefined].map((value) => short(value))).toEqual(["0.7517", (82609).toLocaleString(), "1.00e-9", "-0.5", "NaN", "–"]);
});

describe("inputs", () => {
  const input = { name: "hour", minimum: 0, maximum: 20, median: 10, missing_share: 0 };
  it("have the range of the training", () => {
    expect(rangeOf(input)).toBe("0 to 20, median 10");
    expect(rangeOf({ ...input, minimum: null })).toBe("");
  });

  it("are read from the address if it is valid", () => {
    expect(instanceOf('{"a": 1, "b": "x", "c": null}')).toEqual({ a: 1, b: "x" });
    expect([instanceOf("{"), instanceOf(undefined), instanceOf("3")]).toEqual([{}, {}, {}]);
  });

  it("that moved most come first", () => {
    const columns = [
      { name: "hour", nulls: 5, not_finite: 5, minimum: "-1", maximum: "20", quartiles: [1, 15, 18] },
      { name: "wind", nulls: 0, not_finite: 0, minimum: "0", maximum: "20", quartiles: [1, 10, 18] },
    ];
    const found = changed([{ ...input, name: "wind" }, input, { ...input, name: "gone" }], columns, 100);
    expect(found.map((one) => [one.name, one.shift, one.missing, one.outside])).toEqual([["hour", 0.25, 0.1, true], ["wind", 0, 0, false], ["gone", null, null, false]]);
  });
});

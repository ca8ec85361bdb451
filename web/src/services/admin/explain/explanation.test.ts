import { describe, expect, it } from "vitest";
import { type Considered, type Explanation, lapse, sentence } from "./explanation";

const grant = (changed: Partial<Considered>): Considered => ({
  grant_id: "gra_1", effect: "ALLOW", path: ["usr_1"], role: "viewer", pattern: "VIEWER", securable_id: "prj_1", securable_kind: "admin.project",
  condition: null, condition_met: null, expires_at: null, expired: false, holds: true, decides: true, ...changed,
});
const found = (changed: Partial<Explanation>): Explanation => ({
  decision: { allowed: true, reason: "GRANTED" }, detail: "", hidden: false, grants: [],
  chain: [{ id: "prj_1", kind: "admin.project" }, { id: "org_1", kind: "admin.organization" }, { id: "platform", kind: "platform" }],
  names: { usr_1: "ada", grp_1: "analysts", prj_1: "bookings", org_1: "acme" }, ...changed,
});
const said = (explanation: Explanation) => sentence(explanation, "ada", "admin.project.get", "bookings");

describe("a decision in a sentence", () => {
  it("names the role, the place, and the group", () => {
    expect(said(found({ grants: [grant({ path: ["usr_1", "grp_1"], securable_id: "org_1" })] })))
      .toBe("ada has admin.project.get on bookings: a grant of the role viewer on the organization acme through the group analysts.");
  });

  it("says why not", () => {
    const no = (reason: Explanation["decision"]["reason"], grants: Considered[] = []) => said(found({ decision: { allowed: false, reason }, grants }));
    expect(no("DENIED", [grant({ role: null, pattern: "admin.*", securable_id: "platform" })])).toContain("the permission admin.* is denied on the platform");
    expect(no("NO_GRANT")).toContain("no grant on it, or on a place above it, contains the permission");
    expect(no("NO_GRANT", [grant({ decides: false })])).toContain("none of them holds now");
    expect(no("INACTIVE_PRINCIPAL")).toContain("suspended");
    expect(no("DENIED")).toContain("that you can't see");
  });
});

it("says why a grant has no effect", () => {
  expect([lapse(grant({ expired: true })), lapse(grant({ condition_met: false })), lapse(grant({}))]).toEqual(["Expired", "Its condition isn't met", ""]);
});

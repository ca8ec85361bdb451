import { describe, expect, it } from "vitest";
import type { IdentityProvider, IdentityProviderTest } from "../../../api/generated/admin";
import { claimsOf, steps } from "./provider";

const provider = (secret: boolean) => ({ status: { has_client_secret: secret } }) as IdentityProvider;
const answer = (changed: Partial<IdentityProviderTest>): IdentityProviderTest => ({ reachable: true, authorization_endpoint: "https://login.test/authorize", keys: 2, problem: null, ...changed });
const outcome = (found: IdentityProviderTest, secret = true) => steps(provider(secret), found).map((one) => one.passed);

describe("the steps of a test", () => {
  it("all pass when the provider answers and the secret is stored", () => {
    expect(outcome(answer({}))).toEqual([true, true, true]);
  });

  it("stop where the provider can't be reached, with the reason", () => {
    const found = answer({ reachable: false, authorization_endpoint: null, keys: 0, problem: "It responded with 404." });
    expect(outcome(found)).toEqual([false, null, true]);
    expect(steps(provider(true), found)[0]?.detail).toBe("It responded with 404.");
  });

  it("tell missing keys and a missing secret apart", () => {
    expect(outcome(answer({ keys: 0, problem: "It has no keys." }))).toEqual([true, false, true]);
    expect(outcome(answer({}), false)).toEqual([true, true, false]);
  });
});

describe("claims from a form", () => {
  const ada = { sub: "s-ada", name: "ada", email: "ada@example.org", groups: ["engineers"], roles: ["lead"] };

  it("are where the mapping looks for them", () => {
    expect(claimsOf(ada, "groups", "realm.access.roles")).toEqual({
      sub: "s-ada", preferred_username: "ada", email: "ada@example.org", email_verified: true, groups: ["engineers"], realm: { access: { roles: ["lead"] } },
    });
  });

  it("keep two lists of the same claim apart", () => {
    expect(claimsOf({ ...ada, name: "", email: "" }, "realm.groups", "realm.roles")).toEqual({ sub: "s-ada", realm: { groups: ["engineers"], roles: ["lead"] } });
  });
});

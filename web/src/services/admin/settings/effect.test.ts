import { expect, it } from "vitest";
import { effects, shown } from "./effect";

const none = { loosens: false, shortened_keys: 0, expired_passwords: 0, unenrolled_users: 0 };

it("says what changes and whom it affects", () => {
  const before = { key_max_days: 366, mfa_required: false, session_hours: null };
  expect(effects(before, { ...none, settings: { ...before, key_max_days: 30, mfa_required: true }, shortened_keys: 1, unenrolled_users: 4 })).toEqual([
    "Longest life of an API key, in days: 366 becomes 30.",
    "Require a one-time password: no becomes yes.",
    "1 API key expires earlier.",
    "4 users must set up a one-time password at the next login.",
  ]);
  expect(effects(before, { ...none, settings: before })).toEqual([]);
});

it("shows values without technical words", () => {
  expect([shown(null), shown(true), shown([]), shown(["a", "b"]), shown(3)]).toEqual(["not set", "yes", "none", "a, b", "3"]);
});

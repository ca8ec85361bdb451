import { expect, it } from "vitest";
import { equals, happened, has, toggled } from "./events";

it("writes event types in words", () => {
  expect(happened("admin.service_account.created")).toBe("Service account created");
  expect(happened("admin.api_key.created")).toBe("API key created");
  expect(happened("ai_catalog.asset.materialize_denied")).toBe("Asset materialize denied");
});

it("adds a condition of a facet once, and removes it again", () => {
  const denied = equals("outcome", "denied");
  const both = toggled('principal == "ada"', denied);
  expect(both).toBe('principal == "ada" && outcome == "denied"');
  expect(has(both, denied)).toBe(true);
  expect(toggled(both, denied)).toBe('principal == "ada"');
  expect(toggled(denied, denied)).toBe("");
  expect(equals("outcome", null)).toBe("outcome == null");
});

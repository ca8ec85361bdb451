import { expect, test } from "vitest";
import { configFields, placed, secretName, split } from "./connections";

test("fields have the order of their author, and say which are secrets", () => {
  const schema = { properties: { port: { type: "integer" }, host: { type: "string" }, password: { type: "string", "x-secret": true } }, required: ["host"] };
  expect(configFields(schema).map(({ name, required, isSecret }) => [name, required, isSecret])).toEqual([
    ["port", false, false],
    ["host", true, false],
    ["password", false, true],
  ]);
});

test("stored secrets are sent by id and new ones by value, and empty ones not at all", () => {
  const chosen = { password: { value: "x" }, token: { id: "sec_1" }, key: { value: "" }, other: { id: "" } };
  expect(split(chosen)).toEqual({ secrets: { token: "sec_1" }, values: { password: "x" } });
});

test("faults of a test and of a new connection have the same place", () => {
  const found = placed([{ pointer: "/spec/config/host", detail: "a" }, { pointer: "/values/password", detail: "b" }, { pointer: "/name", detail: "c" }]);
  expect(found).toEqual({ "/config/host": "a", "/secrets/password": "b", "/name": "c" });
});

test("the name of a secret is a valid name", () => {
  expect(secretName("shop", "secret_access_key")).toBe("shop-secret-access-key");
});

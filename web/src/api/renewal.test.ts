import { afterEach, expect, it, vi } from "vitest";
import { get } from "./http";
import { goOn } from "./renewal";

afterEach(() => vi.unstubAllGlobals());

const json = (status: number, body: unknown) => new Response(JSON.stringify(body), { status, headers: { "content-type": "application/json" } });

it("requests that meet an ended session are sent again after the login", async () => {
  const answers = [json(401, {}), json(401, {}), json(200, { name: "one" }), json(200, { name: "two" })];
  const fetched = vi.fn(async () => answers.shift());
  vi.stubGlobal("fetch", fetched);
  const both = Promise.all([get("/api/v1/one"), get("/api/v1/two")]);
  await vi.waitFor(() => expect(fetched).toHaveBeenCalledTimes(2));
  goOn();
  expect(await both).toEqual([{ name: "one" }, { name: "two" }]);
  expect(fetched).toHaveBeenCalledTimes(4);
});

it("a refused login is an error of its form", async () => {
  vi.stubGlobal("fetch", async () => json(401, { detail: "Wrong password." }));
  await expect(get("/api/v1/admin/sessions:login")).rejects.toThrow("Wrong password.");
});

import { expect, test } from "vitest";
import { inputOf } from "./form";

test("what is left empty bounds nothing", () => {
  expect(inputOf({ name: "n", scopes: ["component:read"], aliases: " , ", expires: "" })).toEqual({
    name: "n",
    scopes: ["component:read"],
    aliases: null,
    expiresAt: null,
  });
});

test("aliases are separated by commas, and a time is the user's own", () => {
  const input = inputOf({ name: "n", scopes: [], aliases: "general, orders-*", expires: "2030-01-02T03:04" });
  expect(input.aliases).toEqual(["general", "orders-*"]);
  expect(new Date(input.expiresAt as string).getTime()).toBe(new Date(2030, 0, 2, 3, 4).getTime());
});

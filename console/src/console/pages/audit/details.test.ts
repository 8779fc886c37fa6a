import { expect, test } from "vitest";
import { detailsText } from "./details";

test("the details of an entry are one line", () => {
  expect(detailsText({ alias: "general", version: 3, scopes: ["a", "b"] })).toBe('alias general, version 3, scopes ["a","b"]');
  expect(detailsText({})).toBe("");
  expect(detailsText(null)).toBe("");
});

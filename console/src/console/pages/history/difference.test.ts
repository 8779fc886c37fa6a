import { expect, test } from "vitest";
import type { VersionRowFragment } from "../../../gql/graphql";
import { comparedPair, difference, toggled, valueText } from "./difference";

const row = (version: number, changes: [string, unknown, unknown, boolean?][]): VersionRowFragment => ({
  version,
  at: "2026-01-01T00:00:00Z",
  by: "x",
  baseline: version === 1,
  changes: changes.map(([path, before, after, secret = false]) => ({ path: [path], before, after, secret })),
});

const VERSIONS = [
  row(4, [["model", "b", "a"], ["description", null, "new"]]),
  row(3, [["apiKey", null, null, true]]),
  row(2, [["model", "a", "b"]]),
  row(1, [["model", null, "a"]]),
];

const shown = (older: number, newer: number) =>
  difference(VERSIONS, older, newer).map(({ path, before, after }) => [path[0], before, after]);

test("a field has the ends of the way between two versions", () => {
  expect(shown(1, 2)).toEqual([["model", "a", "b"]]);
  expect(shown(0, 2)).toEqual([["model", null, "b"]]);
});

test("a field that came back does not differ, and a secret that was changed does", () => {
  expect(shown(1, 4)).toEqual([
    ["apiKey", null, null],
    ["description", null, "new"],
  ]);
});

test("values are shown as people read them", () => {
  expect([null, "text", 3, { a: [1] }].map(valueText)).toEqual(["–", "text", "3", '{"a":[1]}']);
});

test("one version is compared with the current one, two with each other", () => {
  expect(comparedPair([], 4)).toBeNull();
  expect(comparedPair([4], 4)).toBeNull();
  expect(comparedPair([2], 4)).toEqual({ older: 2, newer: 4 });
  expect(comparedPair([3, 1], 4)).toEqual({ older: 1, newer: 3 });
});

test("the last two that were clicked are chosen", () => {
  expect(toggled([], 1)).toEqual([1]);
  expect(toggled([1, 2], 3)).toEqual([2, 3]);
  expect(toggled([2, 3], 2)).toEqual([3]);
});

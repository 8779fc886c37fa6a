import { expect, test } from "vitest";
import type { FleetComponentFragment } from "../../../gql/graphql";
import { durationText, quantile, secondsToApplied } from "./times";

const who = (appliedVersion: number, acknowledgedVersion: number, acknowledgedAt: string | null) =>
  ({ bindings: [{ appliedVersion, acknowledgedVersion, acknowledgedAt }] }) as unknown as FleetComponentFragment;

test("only those that run the version count, from its commit on", () => {
  const all = [
    who(3, 3, "2026-01-01T00:00:02.500Z"),
    who(3, 3, "2026-01-01T00:00:00.080Z"),
    who(2, 3, "2026-01-01T00:00:01Z"),
    who(2, 2, "2025-12-31T00:00:00Z"),
    who(3, 3, null),
  ];
  expect(secondsToApplied(all, 3, "2026-01-01T00:00:00Z")).toEqual([0.08, 2.5]);
});

test("a clock that is behind makes no time negative", () => {
  expect(secondsToApplied([who(1, 1, "2025-12-31T23:59:59Z")], 1, "2026-01-01T00:00:00Z")).toEqual([0]);
});

test("quantiles are values that were seen", () => {
  expect(quantile([], 0.5)).toBeUndefined();
  expect(quantile([1, 2, 3, 4], 0.5)).toBe(2);
  expect(quantile([1, 2, 3, 4], 0.99)).toBe(4);
});

test("durations are short", () => {
  expect([0.0804, 2.44, 180, 7_200].map(durationText)).toEqual(["80 ms", "2.4 s", "3 min", "2 h"]);
});

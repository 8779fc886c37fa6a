import type { FleetComponentFragment } from "../../../gql/graphql";

/** The seconds from the commit of a version to when each component said that it applied it, in rising order. */
export function secondsToApplied(components: Iterable<FleetComponentFragment>, version: number, committedAt: string): number[] {
  const committed = Date.parse(committedAt);
  return [...components]
    .flatMap(({ bindings }) => bindings)
    .filter(({ appliedVersion, acknowledgedVersion }) => appliedVersion === version && acknowledgedVersion === version)
    .flatMap(({ acknowledgedAt }) => (acknowledgedAt === null ? [] : [Math.max(0, (Date.parse(acknowledgedAt) - committed) / 1_000)]))
    .sort((a, b) => a - b);
}

/** The value that a share of them (0 to 1) does not exceed, of numbers in rising order; undefined of none. */
export function quantile(sorted: readonly number[], share: number): number | undefined {
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)];
}

/** Seconds as people read them: `80 ms`, `2.4 s`, `3 min`. */
export function durationText(seconds: number): string {
  if (seconds < 1) return `${Math.round(seconds * 1_000)} ms`;
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  return seconds < 3_600 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3_600)} h`;
}

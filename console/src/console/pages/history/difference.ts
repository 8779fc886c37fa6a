import type { VersionRowFragment } from "../../../gql/graphql";

export type FieldChange = VersionRowFragment["changes"][number];

/**
 * What differs between two versions, from `older` (exclusive) to `newer`, field by field. `versions` has all that lie
 * between them. Fields that came back to what they were are left out; of a secret it is only known that it was changed.
 */
export function difference(versions: readonly VersionRowFragment[], older: number, newer: number): FieldChange[] {
  const between = versions
    .filter(({ version }) => older < version && version <= newer)
    .sort((a, b) => a.version - b.version);
  const fields = new Map<string, FieldChange>();
  for (const change of between.flatMap(({ changes }) => changes)) {
    const name = JSON.stringify(change.path);
    const first = fields.get(name);
    fields.set(name, first === undefined ? change : { ...change, before: first.before });
  }
  return [...fields.values()].filter(({ secret, before, after }) => secret || JSON.stringify(before) !== JSON.stringify(after));
}

/** The versions that are chosen to be compared after one more click on `version`: the last two at most. */
export function toggled(chosen: readonly number[], version: number): readonly number[] {
  return chosen.includes(version) ? chosen.filter((one) => one !== version) : [...chosen.slice(-1), version];
}

/** The two versions to compare: those that are chosen, or the one that is and the current one. Null: there are none. */
export function comparedPair(chosen: readonly number[], current: number): { older: number; newer: number } | null {
  const [a, b = current] = chosen;
  return a === undefined || a === b ? null : { older: Math.min(a, b), newer: Math.max(a, b) };
}

/** A value as people read it. */
export function valueText(value: unknown): string {
  if (value === null || value === undefined) return "–";
  return typeof value === "string" ? value : JSON.stringify(value);
}

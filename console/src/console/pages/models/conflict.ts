import { titleOfKind } from "./AuthSection";
import { kindOf, draftOf, secretText, storedSecret, TEXTS, type Draft, type Settings } from "./draft";
import { labelOf } from "../../parts/labels";

/** What is chosen between as one. */
export const GROUPS = [...TEXTS, "maxInputTokens", "auth", "params"] as const;
export type Group = (typeof GROUPS)[number];

export interface Difference {
  group: Group;
  mine: string;
  theirs: string;
  /** whether the user changed it; what only others changed is taken from them at first */
  changed: boolean;
}

/** Where a draft, which was made of `base`, and what is stored now differ. */
export function differences(draft: Draft, base: Settings, current: Settings): Difference[] {
  const before = draftOf(base);
  const theirs = draftOf(current);
  return GROUPS.map((group) => ({
    group,
    mine: textOf(group, draft, base),
    theirs: textOf(group, theirs, current),
    changed: textOf(group, draft, base) !== textOf(group, before, base),
  })).filter(({ mine, theirs: other }) => mine !== other);
}

/** The draft with the chosen groups of what is stored now. It is a draft of that from now on. */
export function merged(draft: Draft, current: Settings, theirs: ReadonlySet<Group>): Draft {
  const stored = draftOf(current);
  const result: Record<string, unknown> = { ...draft };
  for (const group of theirs) result[group] = stored[group];
  if (theirs.has("params")) result["sealed"] = {};
  return result as unknown as Draft;
}

function textOf(group: Group, draft: Draft, base: Settings): string {
  if (group === "auth") return authText(draft, base);
  if (group === "params") return paramsText(draft, base);
  return draft[group];
}

function authText({ auth }: Draft, base: Settings): string {
  const stored = auth.kind === kindOf(base) ? base.auth : {};
  const secrets = new Set([...Object.keys(auth.secrets), ...Object.keys(stored)].filter((name) => name !== "__typename"));
  for (const name of Object.keys(auth.values)) secrets.delete(name);
  const lines = [...secrets].sort().map((name) => {
    const choice = auth.secrets[name]?.choice ?? "keep";
    const kept = auth.kind === kindOf(base) ? secretText(storedSecret(base, name)) : "not set";
    return [name, choice === "keep" ? kept : choice === "clear" ? "cleared" : "a new value"];
  });
  const values = Object.entries(auth.values);
  const given = [...values, ...lines].filter(([, text]) => text !== "" && text !== "not set");
  return [titleOfKind(auth.kind), ...given.map(([name = "", text]) => `${labelOf(name)}: ${text}`)].join("\n");
}

function paramsText(draft: Draft, base: Settings): string {
  const params = draft.params.filter(({ name }) => name !== "").map(({ name, value }) => `${name}: ${value}`);
  const sealed = base.sealedParams.map((name) => {
    const choice = draft.sealed[name]?.choice ?? "keep";
    return `${name}: ${choice === "keep" ? "sealed" : choice === "clear" ? "cleared" : "a new value"}`;
  });
  return [...params.sort(), ...sealed].join("\n");
}

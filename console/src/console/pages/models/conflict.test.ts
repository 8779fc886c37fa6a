import { expect, it } from "vitest";
import { differences, merged } from "./conflict";
import { changesOf, draftOf, paramRow, type Settings } from "./draft";

const BASE: Settings = {
  id: "m1",
  alias: "orders",
  description: null,
  provider: "openai",
  model: "gpt-4o",
  apiBase: null,
  params: { temperature: 0.2 },
  sealedParams: [],
  maxInputTokens: null,
  configured: true,
  isDefault: false,
  version: 3,
  updatedAt: "2026-05-01T12:00:00Z",
  updatedBy: "api_key:ada",
  auth: { __typename: "ApiKeyAuth", apiKey: { hint: "abcd", reference: null } },
};
const CURRENT: Settings = { ...BASE, version: 4, model: "gpt-5", description: "theirs", params: { temperature: 0.9 } };
const MINE = { ...draftOf(BASE), description: "mine", params: [paramRow("temperature", "0.5")] };

it("shows where both differ, and who changed it", () => {
  expect(differences(MINE, BASE, CURRENT)).toEqual([
    { group: "description", mine: "mine", theirs: "theirs", changed: true },
    { group: "model", mine: "gpt-4o", theirs: "gpt-5", changed: false },
    { group: "params", mine: "temperature: 0.5", theirs: "temperature: 0.9", changed: true },
  ]);
});

it("never tells a secret, and tells that one was typed", () => {
  const auth = { kind: "apiKey" as const, values: {}, secrets: { apiKey: { choice: "replace" as const, value: "sk-typed" } } };
  const [difference] = differences({ ...draftOf(BASE), auth }, BASE, BASE);
  expect(difference).toMatchObject({ group: "auth", mine: "API key\nAPI key: a new value", changed: true });
  expect(difference?.theirs).toBe("API key\nAPI key: stored, ends in abcd");
});

it("is, with what was chosen, a draft of the newer version", () => {
  const chosen = merged(MINE, CURRENT, new Set(["model", "description"] as const));
  expect(changesOf(chosen, CURRENT).changes).toEqual({ params: { temperature: 0.5 } });
  const theirs = merged(MINE, CURRENT, new Set(["model", "description", "params"] as const));
  expect(changesOf(theirs, CURRENT).changes).toEqual({});
});

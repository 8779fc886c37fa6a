import { describe, expect, it } from "vitest";
import { changesOf, draftOf, paramRow, parsed, testOf, valueText, type Draft, type Settings } from "./draft";

const STORED: Settings = {
  id: "m1",
  alias: "general",
  description: null,
  provider: "openai",
  model: "gpt-4o",
  apiBase: null,
  params: { temperature: 0.2, user: "42" },
  sealedParams: ["extra_headers"],
  maxInputTokens: 1000,
  configured: true,
  isDefault: false,
  version: 3,
  updatedAt: "2026-05-01T12:00:00Z",
  updatedBy: "api_key:ada",
  auth: { __typename: "ApiKeyAuth", apiKey: { hint: "abcd", reference: null } },
};

function changed(patch: Partial<Draft>): ReturnType<typeof changesOf> {
  return changesOf({ ...draftOf(STORED), ...patch }, STORED);
}

describe("what a draft changes", () => {
  it("is nothing at first", () => {
    expect(changed({})).toEqual({ changes: {}, problems: {} });
  });

  it("is what differs; what was emptied is cleared", () => {
    const { changes } = changed({ model: "gpt-4o-mini", maxInputTokens: "", provider: "" });
    expect(changes).toEqual({ model: "gpt-4o-mini", maxInputTokens: null, provider: null });
  });

  it("is all that is given, of a new config", () => {
    const draft = { ...draftOf(null), alias: "a", model: "gpt-4o", auth: { kind: "apiKey" as const, values: {}, secrets: {} } };
    expect(changesOf(draft, null).changes).toEqual({ alias: "a", model: "gpt-4o", auth: { apiKey: {} } });
  });

  it("has secrets that are replaced or cleared, and none that is kept", () => {
    const auth = (secret: Draft["auth"]["secrets"][string]) =>
      changed({ auth: { kind: "apiKey", values: {}, secrets: { apiKey: secret } } }).changes;
    expect(auth({ choice: "keep" })).toEqual({});
    expect(auth({ choice: "replace", value: "sk-new" })).toEqual({ auth: { apiKey: { apiKey: "sk-new" } } });
    expect(auth({ choice: "clear" })).toEqual({ auth: { apiKey: { apiKey: null } } });
    // Nothing was typed yet.
    expect(auth({ choice: "replace", value: "" })).toEqual({});
  });

  it("has another kind of auth whole", () => {
    const auth = { kind: "awsIam" as const, values: { regionName: "eu-central-1" }, secrets: {} };
    expect(changed({ auth }).changes).toEqual({ auth: { awsIam: { regionName: "eu-central-1" } } });
    expect(changed({ auth: { kind: "none", values: {}, secrets: {} } }).changes).toEqual({ auth: { none: true } });
  });

  it("has all params when one of them differs, and sealed ones that are replaced or cleared", () => {
    expect(changed({ params: [paramRow("user", '"42"')] }).changes).toEqual({ params: { user: "42" } });
    expect(changed({ params: [paramRow("user", '"42"'), paramRow("temperature", "0.2"), paramRow()] }).changes).toEqual({});
    const sealed = { extra_headers: { choice: "replace" as const, value: '{"a": "b"}' } };
    expect(changed({ sealed }).changes).toEqual({ params: { temperature: 0.2, user: "42", extra_headers: { a: "b" } } });
    expect(changed({ sealed: { extra_headers: { choice: "clear" } } }).changes).toEqual({
      params: { temperature: 0.2, user: "42", extra_headers: null },
    });
  });

  it("names what is wrong", () => {
    expect(changed({ maxInputTokens: "many" }).problems).toHaveProperty("maxInputTokens");
    expect(changed({ params: [paramRow("", "1")] }).problems).toHaveProperty("params");
    expect(changed({ params: [paramRow("a", "1"), paramRow("a", "2")] }).problems).toHaveProperty(["params.a"]);
    expect(changed({ params: [paramRow("extra_headers", "{}")] }).problems).toHaveProperty(["params.extra_headers"]);
    const auth = { kind: "oauth2ClientCredentials" as const, values: { maxRetries: "few" }, secrets: {} };
    expect(changed({ auth }).problems).toHaveProperty("maxRetries");
  });

  it("is tried without the names that a call does not have", () => {
    const { changes } = changed({ alias: "b", description: "d", model: "m" });
    expect(testOf(changes, STORED)).toEqual({ id: "m1", model: "m" });
  });
});

it("reads values as JSON, else as text, and shows them so that they are read back", () => {
  for (const value of [0.2, true, null, "plain", "two\nlines", "42", "true", '"quoted"', { a: [1] }, ""]) {
    expect(parsed(valueText(value))).toEqual(value);
  }
  expect(valueText("plain")).toBe("plain");
  expect(valueText("two\nlines")).toBe(JSON.stringify("two\nlines"));
});

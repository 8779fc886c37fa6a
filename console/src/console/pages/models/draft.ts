import type {
  ModelAuthInput,
  ModelSettingsFragment,
  SecretFragment,
  TestModelConfigInput,
  UpdateModelConfigInput,
} from "../../../gql/graphql";
import type { SecretChoice } from "../../parts/SecretField";

export type AuthKind = "none" | "apiKey" | "oauth2ClientCredentials" | "awsIam" | "gcpServiceAccount";

export interface ParamRow {
  /** tells rows apart while they are edited */
  key: number;
  name: string;
  /** JSON, or else a plain text */
  value: string;
}

export interface AuthDraft {
  kind: AuthKind;
  /** of the fields that are shown, by name */
  values: Readonly<Record<string, string>>;
  /** of the secret fields, by name; absent is `keep` */
  secrets: Readonly<Record<string, SecretChoice>>;
}

/** A model config as a form has it: texts, in which "" is not set. */
export interface Draft {
  alias: string;
  description: string;
  provider: string;
  model: string;
  apiBase: string;
  maxInputTokens: string;
  auth: AuthDraft;
  params: readonly ParamRow[];
  /** of the params that are sealed, by name */
  sealed: Readonly<Record<string, SecretChoice>>;
}

export type Settings = ModelSettingsFragment;

/** Fields of `createModelConfig` and `updateModelConfig` that differ from what is stored. */
export type Changes = Omit<UpdateModelConfigInput, "id" | "expectedVersion" | "validateOnly">;

/** What is wrong with a draft, by the field of Draft, or `params.NAME`. */
export type Problems = Readonly<Record<string, string>>;

const KINDS: Record<Settings["auth"]["__typename"], AuthKind> = {
  ApiKeyAuth: "apiKey",
  AwsIamAuth: "awsIam",
  GcpServiceAccountAuth: "gcpServiceAccount",
  NoAuth: "none",
  OAuth2ClientCredentialsAuth: "oauth2ClientCredentials",
};
const INTEGERS = new Set(["tokenRefreshBufferSeconds", "maxRetries"]);
export const TEXTS = ["alias", "description", "provider", "model", "apiBase"] as const;

let keys = 0;

export function paramRow(name = "", value = ""): ParamRow {
  keys += 1;
  return { key: keys, name, value };
}

/** The draft that changes nothing about `config`; null: of a new one. */
export function draftOf(config: Settings | null): Draft {
  return {
    alias: config?.alias ?? "",
    description: config?.description ?? "",
    provider: config?.provider ?? "",
    model: config?.model ?? "",
    apiBase: config?.apiBase ?? "",
    maxInputTokens: config?.maxInputTokens?.toString() ?? "",
    auth: { kind: kindOf(config), values: storedValues(config), secrets: {} },
    params: Object.entries((config?.params ?? {}) as Record<string, unknown>).map(([name, value]) =>
      paramRow(name, valueText(value)),
    ),
    sealed: {},
  };
}

export function kindOf(config: Settings | null): AuthKind {
  return config === null ? "none" : KINDS[config.auth.__typename];
}

/** The stored secret of this field of the auth; null when none is stored. */
export function storedSecret(config: Settings | null, name: string): SecretFragment | null {
  const stored = (config?.auth as Record<string, unknown> | undefined)?.[name];
  return typeof stored === "object" ? (stored as SecretFragment | null) : null;
}

function storedValues(config: Settings | null): Record<string, string> {
  const fields = Object.entries(config?.auth ?? {}).filter(
    ([name, value]) => name !== "__typename" && (typeof value === "string" || typeof value === "number"),
  );
  return Object.fromEntries(fields.map(([name, value]) => [name, String(value)]));
}

/** What differs between a draft and what is stored (null: nothing is), and what is wrong with it. */
export function changesOf(draft: Draft, base: Settings | null): { changes: Changes; problems: Problems } {
  const stored = draftOf(base);
  const problems: Record<string, string> = {};
  const changes: Record<string, unknown> = {};
  for (const name of TEXTS) {
    if (draft[name] !== stored[name]) changes[name] = draft[name] || null;
  }
  if (draft.maxInputTokens !== stored.maxInputTokens) {
    const tokens = integer(draft.maxInputTokens);
    if (tokens === undefined) problems["maxInputTokens"] = "A whole number, such as 128000, or nothing.";
    else changes["maxInputTokens"] = tokens;
  }
  const auth = authChanges(draft.auth, base, problems);
  if (auth !== undefined) changes["auth"] = auth;
  const params = paramChanges(draft, base, problems);
  if (params !== undefined) changes["params"] = params;
  return { changes: changes as Changes, problems };
}

/** Whether there is anything to save, or to put right before. */
export function isChanged(draft: Draft, base: Settings | null): boolean {
  const { changes, problems } = changesOf(draft, base);
  return Object.keys(changes).length > 0 || Object.keys(problems).length > 0;
}

/** What a test of the draft is given. */
export function testOf(changes: Changes, base: Settings | null): TestModelConfigInput {
  const { alias: _alias, description: _description, ...tried } = changes;
  return base === null ? tried : { id: base.id, ...tried };
}

/** The auth that the draft gives in a request, as it differs from what is stored; undefined when it does not. */
export function authChanges(
  auth: AuthDraft,
  base: Settings | null,
  problems: Record<string, string> = {},
): ModelAuthInput | undefined {
  const another = auth.kind !== kindOf(base);
  if (auth.kind === "none") {
    return another ? { none: true } : undefined;
  }
  const before = another ? {} : storedValues(base);
  const fields: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(auth.values)) {
    if (value === (before[name] ?? "")) continue;
    const given = INTEGERS.has(name) ? integer(value) : value || null;
    if (given === undefined) problems[name] = "A whole number, or nothing.";
    else fields[name] = given;
  }
  for (const [name, secret] of Object.entries(auth.secrets)) {
    if (secret.choice === "replace" && secret.value !== "") fields[name] = secret.value;
    if (secret.choice === "clear") fields[name] = null;
  }
  if (!another && Object.keys(fields).length === 0) {
    return undefined;
  }
  return { [auth.kind]: fields } as ModelAuthInput;
}

function paramChanges(
  draft: Draft,
  base: Settings | null,
  problems: Record<string, string>,
): Record<string, unknown> | undefined {
  const params: Record<string, unknown> = {};
  for (const { name, value } of draft.params) {
    if (name === "" && value === "") continue;
    if (name === "") problems["params"] = "Each parameter needs a name.";
    else if (name in params) problems[`params.${name}`] = "This parameter is given twice.";
    else if (base?.sealedParams.includes(name)) problems[`params.${name}`] = "This parameter is sealed: replace it below.";
    else params[name] = parsed(value);
  }
  const given = JSON.stringify(sorted(params)) !== JSON.stringify(sorted((base?.params ?? {}) as object));
  const secrets = Object.entries(draft.sealed).filter(([, { choice }]) => choice !== "keep");
  for (const [name, secret] of secrets) {
    params[name] = secret.choice === "replace" ? parsed(secret.value) : null;
  }
  return given || secrets.length > 0 ? params : undefined;
}

function sorted(params: object): [string, unknown][] {
  return Object.entries(params).sort(([a], [b]) => (a < b ? -1 : 1));
}

/** null for "", undefined for what is no whole number */
function integer(text: string): number | null | undefined {
  if (text.trim() === "") return null;
  return /^-?\d+$/.test(text.trim()) ? Number(text) : undefined;
}

/** What a typed value means: JSON, else a text. */
export function parsed(value: string): unknown {
  try {
    return JSON.parse(value) as unknown;
  } catch {
    return value;
  }
}

/** How a value is typed: a text as it is, unless it would be read as JSON. */
export function valueText(value: unknown): string {
  // A control of one line loses the line breaks of a text.
  const plain = typeof value === "string" && parsed(value) === value && !/[\r\n]/.test(value);
  return plain ? value : JSON.stringify(value);
}

/** What is stored of a secret, in words. */
export function secretText(stored: SecretFragment | null): string {
  if (stored === null) return "not set";
  if (stored.reference !== null) return stored.reference;
  return stored.hint === null ? "stored" : `stored, ends in ${stored.hint}`;
}

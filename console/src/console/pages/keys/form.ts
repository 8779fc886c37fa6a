import type { CreateApiKeyInput } from "../../../gql/graphql";

/** What is typed: `aliases` separated by commas, `expires` as `datetime-local` gives it; each empty when it is not set. */
export interface Form {
  name: string;
  scopes: readonly string[];
  aliases: string;
  expires: string;
}

/** What a component needs, and what is chosen to begin with. */
export const SCOPES_OF_COMPONENTS = ["model_config:read", "model_config:resolve", "component:report"];

export function inputOf({ name, scopes, aliases, expires }: Form): CreateApiKeyInput {
  const patterns = aliases
    .split(",")
    .map((alias) => alias.trim())
    .filter(Boolean);
  return {
    name,
    scopes: [...scopes],
    aliases: patterns.length > 0 ? patterns : null,
    expiresAt: expires ? new Date(expires).toISOString() : null,
  };
}

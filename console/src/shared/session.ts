import { post } from "./endpoint";

/** Who is signed in. The key lives here, in the memory of the page, and is written nowhere. */
export interface Session {
  apiKey: string;
  /** null when the server does not tell */
  viewer: Viewer | null;
}

export interface Viewer {
  name: string;
  scopes: readonly string[];
}

/** Asks the server who `apiKey` is. Throws an Error to show the user when the key is refused. */
export async function signIn(apiKey: string): Promise<Session> {
  const key = apiKey.trim();
  // Other characters cannot stand in a header, and `fetch` would throw without naming the key as the reason.
  if (!/^[\x21-\x7e]+$/.test(key)) {
    throw new Error("This is no API key: it has other characters than a key can have.");
  }
  const { data, errors } = await post({ query: "{ viewer { name scopes } }" }, key);
  const refused = errors?.find((error) => error.extensions?.code === "UNAUTHENTICATED");
  if (refused) {
    throw new Error(`The key was refused: ${refused.message}`);
  }
  return { apiKey: key, viewer: (data?.["viewer"] as Viewer | null | undefined) ?? null };
}

/**
 * The key of a sign-in link (`#key=mw_…`), or null. It is read once: the fragment is taken out of the address bar and
 * of the tab's history, so that a reload, a bookmark or a copied address does not carry it.
 */
export function takeKeyFromAddress(location: Location = window.location, history: History = window.history): string | null {
  const key = new URLSearchParams(location.hash.slice(1)).get("key");
  if (key !== null) {
    history.replaceState(history.state, "", location.pathname + location.search);
  }
  return key || null;
}

import { RefreshDocument, SignInDocument, SignOutDocument, WhoAmIDocument, type MeFragment } from "../gql/graphql";
import { ask, Unauthenticated, Unreachable } from "./endpoint";

export type Viewer = MeFragment;

/**
 * Whether somebody is signed in in this tab.
 * `ended`: the server refused to go on. What `viewer` had open waits for them to sign in again.
 */
export type SessionState =
  | { phase: "starting"; problem: string | null }
  | { phase: "signedOut"; why: string | null }
  | { phase: "signedIn"; viewer: Viewer; identity: number }
  | { phase: "ended"; viewer: Viewer; identity: number; why: string };

interface Tokens {
  accessToken: string;
  viewer: Viewer;
  /** by the clock of this machine, as milliseconds since 1970; null when it does not end */
  goodUntil: number | null;
}

/** What the tabs of a browser tell each other. They share one session, because they share its cookie. */
type Message = { kind: "tokens"; tokens: Tokens } | { kind: "ended"; why: string } | { kind: "signedOut" };

const CHANNEL = "modelwire:session";
const LOCK = "modelwire:session";
/** Says that there is a cookie to begin with. The cookie itself is seen by no script. */
const HINT = "modelwire:signed-in";
const RETRY_MILLISECONDS = 5_000;
const LONGEST_TIMEOUT = 2 ** 31 - 1;

/** Somebody else is signed in meanwhile: what was asked for is not to be done in their name. */
export class IdentityChanged extends Error {}

/**
 * The session of this browser. Access tokens are in the memory of its tabs alone, the refresh token in a cookie that no
 * script can read. A token is renewed ahead of its expiry, by one tab for all.
 */
export class Session {
  state: SessionState = { phase: "starting", problem: null };

  #tokens: Tokens | null = null;
  #identity = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #renewing: Promise<void> | null = null;
  readonly #listeners = new Set<() => void>();
  readonly #channel = new BroadcastChannel(CHANNEL);

  /** `authenticated` false: the server asks nobody who they are. */
  constructor(readonly authenticated: boolean) {
    this.#channel.onmessage = (event) => this.#hear(event.data as Message);
  }

  /** Calls `listener` after each change of the state or the token, until the function that it gives is called. */
  listen = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  /** The token of now, without asking for another; null when there is none. */
  get current(): string | null {
    return this.#tokens?.accessToken ?? null;
  }

  /** Goes on with what this browser has, or with the key of a sign-in link. Does not throw. */
  async start(key: string | null): Promise<void> {
    if (key !== null && this.authenticated) {
      await this.signIn(key).catch((reason: unknown) => this.#become({ phase: "signedOut", why: text(reason) }));
    } else if (this.authenticated && !hinted()) {
      this.#become({ phase: "signedOut", why: null });
    } else {
      await this.#begin();
    }
  }

  /** Begins a session with an API key, in all tabs. Throws an Error to show the user. */
  async signIn(apiKey: string): Promise<void> {
    const key = apiKey.trim();
    if (!/^[\x21-\x7e]+$/.test(key)) {
      throw new Error("This is no API key: it has other characters than a key can have.");
    }
    const { data, at } = await ask(SignInDocument, { input: { apiKey: key, cookie: true } }).catch((reason: unknown) => {
      throw reason instanceof Unauthenticated ? new Error(`The key was refused: ${reason.message}`) : reason;
    });
    if ("message" in data.signIn) {
      throw new Error(data.signIn.message);
    }
    this.#took(data.signIn, at);
  }

  /** Ends the session, in all tabs. Throws an Error to show the user when the server was not told. */
  async signOut(): Promise<void> {
    const token = this.current;
    if (token !== null) {
      await ask(SignOutDocument, { input: {} }, token).catch((reason: unknown) => {
        if (!(reason instanceof Unauthenticated)) throw reason;
      });
    }
    this.#tell({ kind: "signedOut" });
  }

  /**
   * A token that is good, or null when none is needed. While nobody is signed in, waits until somebody is.
   * Throws Unreachable, and IdentityChanged when that is, or was meanwhile, somebody else than `identity`.
   */
  async token(identity: number): Promise<string | null> {
    for (;;) {
      if (identity !== this.#identity) {
        throw new IdentityChanged("Somebody else has signed in.");
      }
      if (this.state.phase === "signedIn") {
        if (!this.authenticated) return null;
        if (this.#tokens !== null && Date.now() < (this.#tokens.goodUntil ?? Infinity)) return this.#tokens.accessToken;
        await this.renew();
      } else {
        await new Promise<void>((resolve) => {
          const stop = this.listen(() => (stop(), resolve()));
        });
      }
    }
  }

  /** The server refused `token`: it is used no more, and another one is asked for. */
  refuse(token: string): void {
    if (this.#tokens?.accessToken === token) {
      this.#tokens = null;
      this.renew().catch(() => this.#renewIn(RETRY_MILLISECONDS));
    }
  }

  /**
   * Asks for the next token. Whoever wants one meanwhile, in any tab, shares the answer. A session that is over becomes
   * `ended`; throws Unreachable, or an Error with what the server said.
   */
  renew(): Promise<void> {
    this.#renewing ??= this.#renew().finally(() => (this.#renewing = null));
    return this.#renewing;
  }

  async #renew(): Promise<void> {
    const known = this.#tokens;
    await exclusively(async () => {
      if (this.#tokens !== null && this.#tokens !== known) return; // another tab was first
      try {
        const { data, at } = await ask(RefreshDocument, { input: {} });
        if ("message" in data.refreshSession) {
          throw new Error(data.refreshSession.message);
        }
        this.#took(data.refreshSession, at);
      } catch (reason) {
        if (!(reason instanceof Unauthenticated)) throw reason;
        this.#tell({ kind: "ended", why: `You were signed out: ${reason.message}` });
      }
    });
  }

  async #begin(): Promise<void> {
    for (;;) {
      try {
        if (this.authenticated) return await this.renew();
        const { data } = await ask(WhoAmIDocument, {});
        return this.#enter(data.viewer);
      } catch (reason) {
        this.#become({ phase: "starting", problem: text(reason) });
        await new Promise((resolve) => setTimeout(resolve, reason instanceof Unreachable ? 1_000 : RETRY_MILLISECONDS));
      }
    }
  }

  #took({ accessToken, viewer }: { accessToken: string; viewer: Viewer }, at: number): void {
    const lifetime = viewer.tokenExpiresAt === null ? null : Date.parse(viewer.tokenExpiresAt) - at;
    this.#tell({ kind: "tokens", tokens: { accessToken, viewer, goodUntil: lifetime && Date.now() + lifetime } });
  }

  /** Does in this tab what all are told to do. */
  #tell(message: Message): void {
    this.#channel.postMessage(message);
    this.#hear(message);
  }

  #hear(message: Message): void {
    if (message.kind === "tokens") {
      this.#tokens = message.tokens;
      hint(true);
      if (message.tokens.goodUntil !== null) {
        // At random, lest all tabs ask at once.
        this.#renewIn((message.tokens.goodUntil - Date.now()) * (0.6 + 0.2 * Math.random()));
      }
      this.#enter(message.tokens.viewer);
      return;
    }
    clearTimeout(this.#timer);
    this.#tokens = null;
    hint(false);
    if (message.kind === "signedOut") {
      this.#identity += 1;
      this.#become({ phase: "signedOut", why: null });
    } else if (this.state.phase === "signedIn") {
      this.#become({ ...this.state, phase: "ended", why: message.why });
    } else if (this.state.phase === "starting") {
      this.#become({ phase: "signedOut", why: message.why });
    }
  }

  #enter(viewer: Viewer): void {
    const before = "viewer" in this.state ? this.state.viewer : null;
    if (before !== null && before.subject !== viewer.subject) {
      this.#identity += 1;
    }
    this.#become({ phase: "signedIn", viewer, identity: this.#identity });
  }

  #become(state: SessionState): void {
    this.state = state;
    for (const listener of [...this.#listeners]) listener();
  }

  #renewIn(milliseconds: number): void {
    clearTimeout(this.#timer);
    const again = () => this.renew().catch(() => this.#renewIn(RETRY_MILLISECONDS));
    this.#timer = setTimeout(again, Math.min(Math.max(milliseconds, 0), LONGEST_TIMEOUT));
  }
}

/** One tab at a time. Pages that are not served securely have no locks; a token shown twice is forgiven for seconds. */
async function exclusively(work: () => Promise<void>): Promise<void> {
  await ("locks" in navigator ? navigator.locks.request(LOCK, work) : work());
}

function hinted(): boolean {
  try {
    return localStorage.getItem(HINT) !== null;
  } catch {
    return false;
  }
}

function hint(signedIn: boolean): void {
  try {
    if (signedIn) localStorage.setItem(HINT, "yes");
    else localStorage.removeItem(HINT);
  } catch {
    // A browser that keeps nothing asks for the key after each reload.
  }
}

function text(reason: unknown): string {
  return reason instanceof Error ? reason.message : String(reason);
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

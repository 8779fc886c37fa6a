import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { IdentityChanged, Session, takeKeyFromAddress } from "./session";

const PAGE = "https://modelwire.example/team/";
const KEY = "mw_abcdefghij_" + "0".repeat(64);

/** A server that gives numbered tokens, and counts what it is asked. */
class Server {
  asked: { query: string; variables: { input: Record<string, unknown> }; authorization: string | null }[] = [];
  lifetimeSeconds = 100;
  subject = "api_key:ada";
  refusal: string | null = null;
  away = false;
  /** by how much its clock differs from the browser's */
  aheadMilliseconds = 0;

  fetch = vi.fn(async (url: string, request: RequestInit) => {
    expect(url).toBe("https://modelwire.example/team/graphql");
    const body = JSON.parse(String(request.body)) as { query: string; variables: { input: Record<string, unknown> } };
    this.asked.push({ ...body, authorization: new Headers(request.headers).get("authorization") });
    await Promise.resolve();
    if (this.away) throw new TypeError("Failed to fetch");
    const now = Date.now() + this.aheadMilliseconds;
    const headers = { date: new Date(now).toUTCString() };
    if (this.refusal !== null) {
      const errors = [{ message: this.refusal, extensions: { code: "UNAUTHENTICATED" } }];
      return Response.json({ errors }, { status: 401, headers });
    }
    const tokenExpiresAt = new Date(now + this.lifetimeSeconds * 1_000).toISOString();
    const viewer = { name: "ada", subject: this.subject, scopes: [], aliases: null, tokenExpiresAt };
    const payload = { accessToken: `token-${this.asked.length}`, viewer };
    return Response.json(
      { data: { signIn: payload, refreshSession: payload, signOut: { endedSessions: 1 }, viewer } },
      { headers },
    );
  });

  count(mutation: string): number {
    return this.asked.filter(({ query }) => query.includes(mutation)).length;
  }
}

/** The channel between tabs: what one says, all others hear. */
class Channel {
  static all: Channel[] = [];
  onmessage: ((event: { data: unknown }) => void) | null = null;
  constructor() {
    Channel.all.push(this);
  }
  postMessage(data: unknown): void {
    for (const other of Channel.all) if (other !== this) other.onmessage?.({ data: structuredClone(data) });
  }
}

let server: Server;
let kept: Map<string, string>;

beforeEach(() => {
  vi.useFakeTimers({ now: Date.parse("2026-05-01T12:00:00Z") });
  server = new Server();
  kept = new Map();
  Channel.all = [];
  let queue: Promise<unknown> = Promise.resolve();
  const request = (_name: string, work: () => Promise<void>) => (queue = queue.catch(() => undefined).then(work));
  vi.stubGlobal("document", { baseURI: PAGE });
  vi.stubGlobal("fetch", server.fetch);
  vi.stubGlobal("BroadcastChannel", Channel);
  vi.stubGlobal("navigator", { locks: { request } });
  vi.stubGlobal("localStorage", {
    getItem: (name: string) => kept.get(name) ?? null,
    setItem: (name: string, value: string) => kept.set(name, value),
    removeItem: (name: string) => kept.delete(name),
  });
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

async function signedIn(): Promise<Session> {
  const session = new Session(true);
  await session.signIn(KEY);
  return session;
}

describe("signing in", () => {
  it("shows the key once, and has the refresh token put into a cookie", async () => {
    const session = new Session(true);
    await session.signIn(`  ${KEY}\n`);
    expect(session.state).toMatchObject({ phase: "signedIn", viewer: { name: "ada" } });
    expect(await session.token(0)).toBe("token-1");
    expect(server.asked[0]).toMatchObject({ variables: { input: { apiKey: KEY, cookie: true } }, authorization: null });
    expect([...kept]).toEqual([["modelwire:signed-in", "yes"]]);
  });

  it("says why a key is refused", async () => {
    server.refusal = "this key was revoked";
    await expect(new Session(true).signIn(KEY)).rejects.toThrow("The key was refused: this key was revoked");
  });

  it("names the key as the reason when it cannot be one", async () => {
    await expect(new Session(true).signIn("mw_…")).rejects.toThrow("no API key");
    expect(server.asked).toEqual([]);
  });

  it("asks nothing of a browser that was not signed in, and says so", async () => {
    const session = new Session(true);
    await session.start(null);
    expect(session.state).toEqual({ phase: "signedOut", why: null });
    expect(server.asked).toEqual([]);
  });

  it("goes on after a reload with the cookie", async () => {
    await signedIn();
    Channel.all = [];
    const reloaded = new Session(true);
    await reloaded.start(null);
    expect(reloaded.state.phase).toBe("signedIn");
    expect(server.asked.at(-1)).toMatchObject({ variables: { input: {} }, authorization: null });
  });

  it("needs no token where the server asks for none", async () => {
    const session = new Session(false);
    await session.start(null);
    expect(session.state.phase).toBe("signedIn");
    expect(await session.token(0)).toBeNull();
  });
});

describe("renewing", () => {
  it("is done ahead of the expiry, by itself", async () => {
    const session = await signedIn();
    await vi.advanceTimersByTimeAsync(59_000);
    expect(session.current).toBe("token-1");
    await vi.advanceTimersByTimeAsync(22_000);
    expect(session.current).toBe("token-2");
  });

  it("does not depend on the clock of this machine", async () => {
    server.aheadMilliseconds = -3_600_000;
    const session = await signedIn();
    expect(await session.token(0)).toBe("token-1");
    await vi.advanceTimersByTimeAsync(81_000);
    expect(session.current).toBe("token-2");
  });

  it("is one request, however many were refused at once", async () => {
    const session = await signedIn();
    const tokens = Array.from({ length: 20 }, () => {
      session.refuse("token-1");
      return session.token(0);
    });
    expect(new Set(await Promise.all(tokens))).toEqual(new Set(["token-2"]));
    expect(server.count("refreshSession")).toBe(1);
    session.refuse("token-1"); // late, and about a token that nobody uses any more
    expect(await session.token(0)).toBe("token-2");
    expect(server.count("refreshSession")).toBe(1);
  });

  it("is one request for all tabs", async () => {
    const tabs = [await signedIn(), new Session(true), new Session(true)];
    for (const tab of tabs.slice(1)) await tab.start(null);
    const before = server.count("refreshSession");
    const token = tabs[0]!.current!;
    tabs.forEach((tab) => tab.refuse(token));
    const tokens = await Promise.all(tabs.map((tab) => tab.token(0)));
    expect(new Set(tokens).size).toBe(1);
    expect(server.count("refreshSession")).toBe(before + 1);
  });

  it("is tried again when the server was away, and the token serves on meanwhile", async () => {
    const session = await signedIn();
    server.away = true;
    await vi.advanceTimersByTimeAsync(85_000);
    expect(await session.token(0)).toBe("token-1");
    server.away = false;
    await vi.advanceTimersByTimeAsync(5_000);
    expect(session.current).not.toBe("token-1");
  });

  it("that is refused ends the session in all tabs, and what waits goes on when the same person is back", async () => {
    const session = await signedIn();
    const other = new Session(true);
    await other.start(null);
    server.refusal = "the session has expired";
    const token = session.current!;
    session.refuse(token);
    const waiting = session.token(0);
    await vi.advanceTimersByTimeAsync(0);
    for (const tab of [session, other]) {
      expect(tab.state).toMatchObject({ phase: "ended", why: "You were signed out: the session has expired" });
    }
    expect([...kept]).toEqual([]);
    server.refusal = null;
    await other.signIn(KEY);
    expect(session.state).toMatchObject({ phase: "signedIn", identity: 0 });
    expect(await waiting).toBe(other.current);
  });
});

describe("somebody else", () => {
  it("does not do what was asked for before", async () => {
    const session = await signedIn();
    server.refusal = "the session has expired";
    session.refuse(session.current!);
    const waiting = session.token(0);
    await vi.advanceTimersByTimeAsync(0);
    server.refusal = null;
    server.subject = "api_key:bob";
    const refused = expect(waiting).rejects.toThrow(IdentityChanged);
    await session.signIn(KEY);
    await refused;
    expect(session.state).toMatchObject({ phase: "signedIn", identity: 1 });
  });
});

describe("signing out", () => {
  it("ends the session at the server and in all tabs", async () => {
    const session = await signedIn();
    const other = new Session(true);
    await other.start(null);
    const token = session.current;
    await session.signOut();
    expect(server.asked.at(-1)?.authorization).toBe(`Bearer ${token}`);
    expect(server.asked.at(-1)?.query).toContain("signOut");
    for (const tab of [session, other]) {
      expect(tab.state).toEqual({ phase: "signedOut", why: null });
      expect(tab.current).toBeNull();
    }
    await vi.advanceTimersByTimeAsync(200_000);
    expect(server.asked.at(-1)?.query).toContain("signOut");
  });

  it("is not done when the server was not told", async () => {
    const session = await signedIn();
    server.away = true;
    await expect(session.signOut()).rejects.toThrow("cannot be reached");
    expect(session.state.phase).toBe("signedIn");
  });
});

describe("takeKeyFromAddress", () => {
  function take(hash: string): { key: string | null; replaced: string[] } {
    const replaced: string[] = [];
    const history = { state: null, replaceState: (_state: unknown, _title: string, url: string) => replaced.push(url) };
    const location = { hash, pathname: "/team/", search: "?a=1" };
    return { key: takeKeyFromAddress(location as Location, history as unknown as History), replaced };
  }

  it("takes the key out of the address", () => {
    expect(take("#key=mw_a_b")).toEqual({ key: "mw_a_b", replaced: ["/team/?a=1"] });
  });

  it("leaves other addresses alone", () => {
    expect(take("")).toEqual({ key: null, replaced: [] });
    expect(take("#/models")).toEqual({ key: null, replaced: [] });
  });

  it("reads an empty key as none", () => {
    expect(take("#key=")).toEqual({ key: null, replaced: ["/team/?a=1"] });
  });
});

import { afterEach, describe, expect, it, vi } from "vitest";
import { signIn, takeKeyFromAddress } from "./session";

const PAGE = "https://modelwire.example/team/graphiql";

function answer(body: unknown, status = 200): void {
  vi.stubGlobal("document", { baseURI: PAGE });
  vi.stubGlobal("fetch", vi.fn(async () => Response.json(body, { status })));
}

afterEach(() => {
  vi.unstubAllGlobals();
});

describe("signIn", () => {
  it("asks the endpoint beside the page who the key is", async () => {
    answer({ data: { viewer: { name: "ada", scopes: ["model_config:read"] } } });
    const session = await signIn("  mw_key\n");
    expect(session).toEqual({ apiKey: "mw_key", viewer: { name: "ada", scopes: ["model_config:read"] } });
    const [url, request] = vi.mocked(fetch).mock.calls[0]!;
    expect(url).toBe("https://modelwire.example/team/graphql");
    expect(new Headers(request?.headers).get("authorization")).toBe("Bearer mw_key");
  });

  it("refuses a key that the server refuses, with the server's reason", async () => {
    answer({ errors: [{ message: "this key was revoked", extensions: { code: "UNAUTHENTICATED" } }] }, 401);
    await expect(signIn("mw_key")).rejects.toThrow("The key was refused: this key was revoked");
  });

  it("goes on without a name when the server does not tell one", async () => {
    answer({ errors: [{ message: "Cannot query field 'viewer'", extensions: { code: "BAD_USER_INPUT" } }] }, 400);
    expect(await signIn("mw_key")).toEqual({ apiKey: "mw_key", viewer: null });
  });

  it("does not take a proxy's page for an answer", async () => {
    vi.stubGlobal("document", { baseURI: PAGE });
    vi.stubGlobal("fetch", async () => new Response("<h1>Oh</h1>", { status: 502, statusText: "Bad Gateway" }));
    await expect(signIn("mw_key")).rejects.toThrow("The server answered 502 Bad Gateway");
  });

  it("says that the server cannot be reached", async () => {
    vi.stubGlobal("document", { baseURI: PAGE });
    vi.stubGlobal("fetch", async () => Promise.reject(new TypeError("Failed to fetch")));
    await expect(signIn("mw_key")).rejects.toThrow("cannot be reached");
  });

  it("names the key as the reason when it cannot stand in a header", async () => {
    answer({ data: { viewer: null } });
    await expect(signIn("mw_…")).rejects.toThrow("no API key");
    expect(fetch).not.toHaveBeenCalled();
  });
});

describe("takeKeyFromAddress", () => {
  function take(hash: string): { key: string | null; replaced: string[] } {
    const replaced: string[] = [];
    const history = { state: null, replaceState: (_state: unknown, _title: string, url: string) => replaced.push(url) };
    const location = { hash, pathname: "/team/graphiql", search: "?a=1" };
    return { key: takeKeyFromAddress(location as Location, history as unknown as History), replaced };
  }

  it("takes the key out of the address", () => {
    expect(take("#key=mw_a_b")).toEqual({ key: "mw_a_b", replaced: ["/team/graphiql?a=1"] });
  });

  it("leaves other addresses alone", () => {
    expect(take("")).toEqual({ key: null, replaced: [] });
    expect(take("#top")).toEqual({ key: null, replaced: [] });
  });

  it("reads an empty key as none", () => {
    expect(take("#key=")).toEqual({ key: null, replaced: ["/team/graphiql?a=1"] });
  });
});

import { createClient, type Client, type SubscribePayload } from "graphql-ws";
import { reach, socketUrl } from "./endpoint";
import { IdentityChanged, type Session } from "./session";

/** Close codes with which the server says that the credential is not, or no longer, good. */
const NO_CREDENTIAL = 4401;
const CREDENTIAL_OVER = 4403;
const KEEP_ALIVE_MILLISECONDS = 15_000;
const SILENCE_MILLISECONDS = 10_000;
const AGAIN_MILLISECONDS = 1_000;
/** The socket stays open from one page to the next. */
const LINGER_MILLISECONDS = 2_000;

export interface Sink<Result> {
  next: (result: Result) => void;
  error: (reason: unknown) => void;
  complete: () => void;
}

export type LinkState = "idle" | "connecting" | "live" | "lost";

/** Half a second at most, then twice as long each time, up to 30 seconds; at random, lest all come back at once. */
const backoff = (retries: number) =>
  new Promise<void>((resolve) => setTimeout(resolve, Math.random() * Math.min(30_000, 500 * 2 ** retries)));

/**
 * The way to the server of one identity of a session: HTTP, and one websocket that is open while there are
 * subscriptions. Tokens are those of the session; a new one is shown on the open socket, which so outlives the first.
 */
export class Connection {
  link: LinkState = "idle";

  #closed = false;
  #socket: WebSocket | null = null;
  #shown: string | null = null;
  #silence: ReturnType<typeof setTimeout> | undefined;
  readonly #client: Client;
  readonly #listeners = new Set<() => void>();
  readonly #unlisten: () => void;

  constructor(
    readonly session: Session,
    readonly identity: number,
  ) {
    this.#client = createClient({
      url: socketUrl(),
      connectionParams: () => this.#credential(),
      retryAttempts: Infinity,
      retryWait: backoff,
      shouldRetry: () => !this.#closed, // also when nobody answers
      lazyCloseTimeout: LINGER_MILLISECONDS,
      keepAlive: KEEP_ALIVE_MILLISECONDS,
      on: {
        connecting: () => this.#become(this.link === "idle" ? "connecting" : this.link),
        connected: (socket) => {
          this.#socket = socket as WebSocket;
          this.#become("live");
          this.#show();
        },
        ping: (received) => {
          if (!received) this.#silence = setTimeout(() => this.#client.terminate(), SILENCE_MILLISECONDS);
        },
        pong: () => clearTimeout(this.#silence),
        closed: (event) => this.#lost((event as CloseEvent).code),
      },
    });
    this.#unlisten = session.listen(() => this.#show());
  }

  /** Calls `listener` after each change of `link`, until the function that it gives is called. */
  listen = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  /** As the global `fetch`, with the session's token. A token that is refused is replaced, once. */
  fetch = async (url: RequestInfo | URL, request: RequestInit = {}): Promise<Response> => {
    if (new Headers(request.headers).has("authorization")) {
      return reach(url, request); // typed by the user
    }
    const token = await this.session.token(this.identity);
    const response = await reach(url, withToken(request, token));
    if (response.status !== 401 || token === null) {
      return response;
    }
    this.session.refuse(token);
    return reach(url, withToken(request, await this.session.token(this.identity)));
  };

  /** Begins a subscription, which outlives a lost socket, until the function that this gives is called. */
  subscribe<Result>(payload: SubscribePayload, sink: Sink<Result>): () => void {
    let stop: (() => void) | undefined;
    let again: ReturnType<typeof setTimeout> | undefined;
    const begin = () => {
      stop = this.#client.subscribe<Record<string, unknown>>(payload, {
        next: (result) => sink.next(result as Result),
        error: (reason) => {
          // graphql-ws takes this code for final. The session has asked for another token by now.
          if (reason instanceof CloseEvent && reason.code === NO_CREDENTIAL && !this.#closed) {
            again = setTimeout(begin, AGAIN_MILLISECONDS);
          } else {
            sink.error(readable(reason));
          }
        },
        complete: () => sink.complete(),
      });
    };
    begin();
    return () => {
      clearTimeout(again);
      stop?.();
    };
  }

  /** Ends every subscription and closes the websocket. */
  close(): void {
    this.#closed = true;
    this.#unlisten();
    void this.#client.dispose();
  }

  async #credential(): Promise<Record<string, unknown>> {
    for (;;) {
      try {
        this.#shown = await this.session.token(this.identity);
        return this.#shown === null ? {} : { authorization: `Bearer ${this.#shown}` };
      } catch (reason) {
        // graphql-ws ends its subscriptions for good without a credential, and the server may be back in a moment.
        if (this.#closed || reason instanceof IdentityChanged) throw reason;
        await new Promise((resolve) => setTimeout(resolve, AGAIN_MILLISECONDS));
      }
    }
  }

  #show(): void {
    const token = this.session.current;
    if (token === null || token === this.#shown || this.#socket?.readyState !== WebSocket.OPEN) return;
    this.#shown = token;
    this.#socket.send(JSON.stringify({ type: "ping", payload: { authorization: `Bearer ${token}` } }));
  }

  #lost(code: number): void {
    clearTimeout(this.#silence);
    this.#socket = null;
    if (this.#shown !== null && (code === NO_CREDENTIAL || code === CREDENTIAL_OVER)) {
      this.session.refuse(this.#shown);
    }
    // Without subscriptions the client itself closes it, as if nothing more was to be said.
    this.#become(code === 1000 ? "idle" : "lost");
  }

  #become(link: LinkState): void {
    this.link = link;
    for (const listener of this.#listeners) listener();
  }
}

function withToken(request: RequestInit, token: string | null): RequestInit {
  const headers = new Headers(request.headers);
  if (token !== null) headers.set("authorization", `Bearer ${token}`);
  return { ...request, headers };
}

/** graphql-ws gives a CloseEvent, an Event, or the GraphQL errors of an `error` message. */
function readable(reason: unknown): unknown {
  if (reason instanceof CloseEvent) {
    return new Error(`The websocket was closed: ${reason.code} ${reason.reason}`.trim());
  }
  return reason instanceof Event ? new Error("The websocket failed.") : reason;
}

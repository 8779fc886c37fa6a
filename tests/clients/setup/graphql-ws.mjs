import { createClient } from "graphql-ws";
import WebSocket from "ws";

// Node before 22 has no WebSocket; browsers have.
globalThis.WebSocket ??= WebSocket;

// Half a second at most, then twice as long each time, up to 30 seconds; at random, lest all come back at once.
const backoff = (retries) =>
  new Promise((resolve) => setTimeout(resolve, Math.random() * Math.min(30_000, 500 * 2 ** retries)));

export function connect(url, apiKey) {
  return createClient({
    url: url.replace(/^http/, "ws"),
    // A function, so that each reconnect has today's credential.
    connectionParams: () => ({ authorization: `Bearer ${apiKey}` }),
    // A subscription that was cut goes on when the server is back: it begins with a snapshot again.
    retryAttempts: Infinity,
    retryWait: backoff,
    shouldRetry: () => true, // also when nobody answers
  });
}

export function execute(client, query, variables) {
  return new Promise((resolve, reject) => {
    let result;
    client.subscribe(
      { query, variables },
      { next: (value) => (result = value), error: reject, complete: () => resolve(result.data) },
    );
  });
}

export function subscribe(client, query, variables, onData, onError) {
  return client.subscribe(
    { query, variables },
    { next: ({ data }) => onData(data), error: onError, complete: () => {} },
  );
}

export const close = (client) => client.dispose();

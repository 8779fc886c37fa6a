import { Client, fetchExchange, subscriptionExchange } from "@urql/core";
import { createClient } from "graphql-ws";
import WebSocket from "ws";

// Node before 22 has no WebSocket; browsers have.
globalThis.WebSocket ??= WebSocket;

// Half a second at most, then twice as long each time, up to 30 seconds; at random, lest all come back at once.
const backoff = (retries) =>
  new Promise((resolve) => setTimeout(resolve, Math.random() * Math.min(30_000, 500 * 2 ** retries)));

export function connect(url, apiKey) {
  const socket = createClient({
    url: url.replace(/^http/, "ws"),
    connectionParams: () => ({ authorization: `Bearer ${apiKey}` }),
    retryAttempts: Infinity,
    retryWait: backoff,
    shouldRetry: () => true, // also when nobody answers
  });
  return new Client({
    url,
    fetchOptions: () => ({ headers: { authorization: `Bearer ${apiKey}` } }),
    exchanges: [
      fetchExchange,
      subscriptionExchange({
        forwardSubscription: ({ query, variables }) => ({
          subscribe: (sink) => ({ unsubscribe: socket.subscribe({ query, variables }, sink) }),
        }),
      }),
    ],
  });
}

export async function execute(client, document, variables) {
  const send = document.startsWith("mutation") ? client.mutation : client.query;
  const { data, error } = await send.call(client, document, variables).toPromise();
  if (error) throw error;
  return data;
}

export function subscribe(client, document, variables, onData, onError) {
  const events = client
    .subscription(document, variables)
    .subscribe(({ data, error }) => (error ? onError(error) : onData(data)));
  return () => events.unsubscribe();
}

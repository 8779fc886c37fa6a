import { ApolloClient, InMemoryCache, gql } from "@apollo/client";
import { GraphQLWsLink } from "@apollo/client/link/subscriptions";
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
  return new ApolloClient({ link: new GraphQLWsLink(socket), cache: new InMemoryCache() });
}

export async function execute(client, document, variables) {
  const operation = gql(document);
  const { data } = document.startsWith("mutation")
    ? await client.mutate({ mutation: operation, variables })
    : await client.query({ query: operation, variables, fetchPolicy: "network-only" });
  return data;
}

export function subscribe(client, document, variables, onData, onError) {
  const events = client.subscribe({ query: gql(document), variables }).subscribe({
    next: ({ data, error }) => (error ? onError(error) : onData(data)),
    error: onError,
  });
  return () => events.unsubscribe();
}

export const close = (client) => client.stop();

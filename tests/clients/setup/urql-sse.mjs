import { Client, fetchExchange } from "@urql/core";

export function connect(url, apiKey) {
  return new Client({
    url,
    fetchOptions: () => ({ headers: { authorization: `Bearer ${apiKey}` } }),
    fetchSubscriptions: true, // as server-sent events
    exchanges: [fetchExchange],
  });
}

export { execute, subscribe } from "./urql-websocket.mjs";

import { cacheExchange, Client, fetchExchange, subscriptionExchange } from "@urql/core";
import type { Connection } from "../shared/connection";
import { endpointUrl } from "../shared/endpoint";

/** urql over the connection of who is signed in. What is in its cache is shown at once, and asked for again. */
export function clientOf(connection: Connection): Client {
  return new Client({
    url: endpointUrl(),
    fetch: connection.fetch,
    preferGetMethod: false,
    requestPolicy: "cache-and-network",
    exchanges: [
      cacheExchange,
      fetchExchange,
      subscriptionExchange({
        forwardSubscription: ({ query = "", variables }) => ({
          subscribe: (sink) => ({ unsubscribe: connection.subscribe({ query, variables: variables ?? {} }, sink) }),
        }),
      }),
    ],
  });
}

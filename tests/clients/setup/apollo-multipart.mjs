import { ApolloClient, ApolloLink, HttpLink, InMemoryCache, ServerError } from "@apollo/client";
import { RetryLink } from "@apollo/client/link/retry";

export function connect(url, apiKey) {
  // A subscription that was cut goes on when the server is back: it begins with a snapshot again.
  const retry = new RetryLink({
    delay: { initial: 500, max: 30_000, jitter: true },
    attempts: (count, { operationType }, error) =>
      operationType === "subscription" && !(ServerError.is(error) && error.statusCode < 500),
  });
  // An HttpLink takes subscriptions as multipart responses by itself.
  const http = new HttpLink({ uri: url, headers: { authorization: `Bearer ${apiKey}` } });
  return new ApolloClient({ link: ApolloLink.from([retry, http]), cache: new InMemoryCache() });
}

export { close, execute, subscribe } from "./apollo-websocket.mjs";

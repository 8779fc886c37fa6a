import { createClient } from "graphql-sse";

// Half a second at most, then twice as long each time, up to 30 seconds; at random, lest all come back at once.
const backoff = (retries) =>
  new Promise((resolve) => setTimeout(resolve, Math.random() * Math.min(30_000, 500 * 2 ** retries)));

export function connect(url, apiKey) {
  return createClient({
    url,
    headers: () => ({ authorization: `Bearer ${apiKey}` }),
    retryAttempts: Infinity,
    retry: backoff,
  });
}

export function execute(client, query, variables) {
  return new Promise((resolve, reject) => {
    let result;
    client.subscribe(
      { query, variables },
      {
        next: (value) => (result = value),
        error: reject,
        complete: () => (result.errors ? reject(result.errors) : resolve(result.data)),
      },
    );
  });
}

export function subscribe(client, query, variables, onData, onError) {
  return client.subscribe(
    { query, variables },
    {
      next: ({ data, errors }) => (errors ? onError(errors) : onData(data)),
      error: onError,
      complete: () => {},
    },
  );
}

export const close = (client) => client.dispose();

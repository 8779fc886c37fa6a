import { createClient } from "graphql-sse";

export function connect(url, apiKey) {
  return createClient({
    url,
    headers: () => ({ authorization: `Bearer ${apiKey}` }),
    retryAttempts: Infinity,
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

import { createClient } from "graphql-ws";
import {
  Environment,
  Network,
  Observable,
  RecordSource,
  Store,
  commitMutation,
  fetchQuery,
  requestSubscription,
} from "relay-runtime";
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
  const fetchOnce = async ({ text }, variables) => {
    const response = await fetch(url, {
      method: "POST",
      headers: { authorization: `Bearer ${apiKey}`, "content-type": "application/json" },
      body: JSON.stringify({ query: text, variables }),
    });
    return response.json();
  };
  const follow = ({ text, name }, variables) =>
    Observable.create((sink) =>
      socket.subscribe({ query: text, operationName: name, variables }, sink),
    );
  return new Environment({
    network: Network.create(fetchOnce, follow),
    store: new Store(new RecordSource()),
  });
}

// `operation` is what relay-compiler makes of a graphql`…` text.
export function execute(environment, operation, variables) {
  if (operation.params.operationKind === "query") {
    return fetchQuery(environment, operation, variables).toPromise();
  }
  return new Promise((resolve, reject) => {
    commitMutation(environment, {
      mutation: operation,
      variables,
      onCompleted: (data, errors) => (errors ? reject(errors) : resolve(data)),
      onError: reject,
    });
  });
}

export function subscribe(environment, subscription, variables, onData, onError) {
  const events = requestSubscription(environment, {
    subscription,
    variables,
    onNext: onData,
    onError,
  });
  return () => events.dispose();
}

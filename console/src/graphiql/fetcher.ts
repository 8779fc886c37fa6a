import type { Fetcher, FetcherParams, FetcherReturnType } from "@graphiql/toolkit";
import { getOperationAST, parse, type DocumentNode, type ExecutionResult, type OperationDefinitionNode } from "graphql";
import { createClient, type Client, type Sink, type SubscribePayload } from "graphql-ws";
import { post, socketUrl } from "../shared/endpoint";

export interface Connection {
  fetcher: Fetcher;
  /** Ends every subscription and closes the websocket. */
  close: () => void;
}

/** Half a second at most, then twice as long each time, up to 30 seconds; at random, lest all come back at once. */
const backoff = (retries: number) =>
  new Promise<void>((resolve) => setTimeout(resolve, Math.random() * Math.min(30_000, 500 * 2 ** retries)));

/** Queries and mutations over HTTP, subscriptions over one websocket that is open while there are any. */
export function connect(apiKey: string): Connection {
  let closed = false;
  const client = createClient({
    url: socketUrl(),
    connectionParams: async () => ({ authorization: `Bearer ${apiKey}` }),
    // A subscription that was cut goes on when the server is back: it begins with a snapshot again.
    retryAttempts: Infinity,
    retryWait: backoff,
    shouldRetry: () => !closed, // also when nobody answers
  });
  return {
    fetcher: (params, options) => {
      const operation = operationOf(params);
      const request = { ...params, operationName: operation?.name?.value ?? params.operationName ?? null };
      return operation?.operation === "subscription"
        ? subscription(client, request)
        : (post(request, apiKey, options?.headers) as Promise<ExecutionResult>);
    },
    close: () => {
      closed = true;
      void client.dispose();
    },
  };
}

/** The operation to run. undefined when the document has a syntax error: the server's answer says where it is. */
function operationOf({ query, operationName }: FetcherParams): OperationDefinitionNode | null | undefined {
  let document: DocumentNode;
  try {
    document = parse(query);
  } catch {
    return undefined;
  }
  // GraphiQL notices a moment late that another document is shown, and until then names an operation of the last one.
  return getOperationAST(document, operationName) ?? getOperationAST(document);
}

function subscription(client: Client, { query, variables, operationName }: FetcherParams): FetcherReturnType {
  const payload: SubscribePayload = { query, variables, operationName: operationName ?? null };
  return {
    subscribe: (sink: Sink<ExecutionResult>) => ({
      unsubscribe: client.subscribe<Record<string, unknown>>(payload, {
        next: (result) => sink.next(result as ExecutionResult),
        error: (reason) => sink.error(readable(reason)),
        complete: () => sink.complete(),
      }),
    }),
  } as FetcherReturnType;
}

/** graphql-ws gives a CloseEvent, an Event, or the GraphQL errors of an `error` message. */
function readable(reason: unknown): unknown {
  if (reason instanceof CloseEvent) {
    return new Error(`The websocket was closed: ${reason.code} ${reason.reason}`.trim());
  }
  return reason instanceof Event ? new Error("The websocket failed.") : reason;
}

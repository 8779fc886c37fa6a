import type { Fetcher, FetcherParams, FetcherReturnType } from "@graphiql/toolkit";
import { getOperationAST, parse, type DocumentNode, type ExecutionResult, type OperationDefinitionNode } from "graphql";
import type { Connection, Sink } from "../shared/connection";
import { endpointUrl } from "../shared/endpoint";

/** Queries and mutations over HTTP, subscriptions over the connection's websocket. */
export function fetcher(connection: Connection): Fetcher {
  return (params, options) => {
    const operation = operationOf(params);
    const request = { ...params, operationName: operation?.name?.value ?? params.operationName ?? null };
    return operation?.operation === "subscription"
      ? subscription(connection, request)
      : post(connection, request, options?.headers ?? {});
  };
}

async function post(connection: Connection, request: FetcherParams, typed: HeadersInit): Promise<ExecutionResult> {
  const headers = new Headers({
    accept: "application/graphql-response+json, application/json;q=0.9",
    "content-type": "application/json",
  });
  new Headers(typed).forEach((value, name) => headers.set(name, value));
  const response = await connection.fetch(endpointUrl(), { method: "POST", headers, body: JSON.stringify(request) });
  return (await response.json()) as ExecutionResult;
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

function subscription(
  connection: Connection,
  { query, variables, operationName }: FetcherParams,
): FetcherReturnType {
  const payload = { query, variables, operationName: operationName ?? null };
  return {
    subscribe: (sink: Sink<ExecutionResult>) => ({ unsubscribe: connection.subscribe(payload, sink) }),
  } as FetcherReturnType;
}

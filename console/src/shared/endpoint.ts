/** The GraphQL endpoint beside this page, as the server or a proxy with a path prefix shows both. */
export function endpointUrl(page: string = document.baseURI): string {
  return new URL("graphql", page).href;
}

/** The same endpoint for websockets. */
export function socketUrl(page: string = document.baseURI): string {
  const url = new URL("graphql", page);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  return url.href;
}

export interface GraphQLRequest {
  query: string;
  variables?: unknown;
  operationName?: string | null | undefined;
}

export interface GraphQLError {
  message: string;
  extensions?: { code?: string };
}

export interface GraphQLResponse {
  data?: Record<string, unknown> | null;
  errors?: readonly GraphQLError[];
}

/**
 * One operation over HTTP. Errors of GraphQL are in the response.
 * Throws an Error to show the user when the server cannot be reached or answers something else than GraphQL.
 */
export async function post(request: GraphQLRequest, apiKey: string, headers: HeadersInit = {}): Promise<GraphQLResponse> {
  const all = new Headers({
    accept: "application/graphql-response+json, application/json;q=0.9",
    authorization: `Bearer ${apiKey}`,
    "content-type": "application/json",
  });
  new Headers(headers).forEach((value, name) => all.set(name, value));
  let response: Response;
  try {
    response = await fetch(endpointUrl(), { method: "POST", headers: all, body: JSON.stringify(request) });
  } catch {
    throw new Error("The server cannot be reached.");
  }
  if (!/^application\/(graphql-response\+)?json/.test(response.headers.get("content-type") ?? "")) {
    throw new Error(`The server answered ${response.status} ${response.statusText}, and not with GraphQL.`);
  }
  return (await response.json()) as GraphQLResponse;
}

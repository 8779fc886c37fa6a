import { stringifyDocument, type TypedDocumentNode } from "@urql/core";

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

/** The server did not answer, or something between answered in its place. What was asked for may be tried again. */
export class Unreachable extends Error {}

/** The server refused the credential, or there was none. The message is the server's reason. */
export class Unauthenticated extends Error {}

export interface Answer<Data> {
  data: Data;
  /** the server's clock, as milliseconds since 1970 */
  at: number;
}

interface Body<Data> {
  data?: Data | null;
  errors?: readonly { message: string; extensions?: { code?: string } }[];
}

/**
 * One operation over HTTP, outside any session; `token` null sends no credential.
 * Throws Unreachable, Unauthenticated, and an Error with the server's message for every other refusal.
 */
export async function ask<Data, Variables>(
  query: TypedDocumentNode<Data, Variables>,
  variables: Variables,
  token: string | null = null,
): Promise<Answer<Data>> {
  const headers = new Headers({
    accept: "application/graphql-response+json, application/json;q=0.9",
    "content-type": "application/json",
  });
  if (token !== null) {
    headers.set("authorization", `Bearer ${token}`);
  }
  const body = JSON.stringify({ query: stringifyDocument(query), variables });
  const response = await reach(endpointUrl(), { method: "POST", headers, body });
  const { data, errors } = (await response.json()) as Body<Data>;
  const [error] = errors ?? [];
  if (error !== undefined || data === undefined || data === null) {
    const message = error?.message ?? "The server answered without data.";
    throw error?.extensions?.code === "UNAUTHENTICATED" ? new Unauthenticated(message) : new Error(message);
  }
  return { data, at: Date.parse(response.headers.get("date") ?? "") || Date.now() };
}

/** `fetch` of the endpoint. Throws Unreachable, also for an answer that is not GraphQL's. */
export async function reach(url: RequestInfo | URL, request: RequestInit): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(url, request);
  } catch (reason) {
    if (request.signal?.aborted) {
      throw reason;
    }
    throw new Unreachable("The server cannot be reached.");
  }
  if (!/^application\/(graphql-response\+)?json/.test(response.headers.get("content-type") ?? "")) {
    throw new Unreachable(`The server answered ${response.status} ${response.statusText}, and not with GraphQL.`);
  }
  return response;
}

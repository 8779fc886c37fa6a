// Gives an access token whenever one is asked for, from one session that begins with the API key.
export function session(url, apiKey) {
  let refreshToken, asking;

  async function ask() {
    // It is good for one use: if the answer gets lost, a new session begins.
    const [input, mutation] = refreshToken ? [{ refreshToken }, "refreshSession"] : [{ apiKey }, "signIn"];
    refreshToken = undefined;
    const type = mutation[0].toUpperCase() + mutation.slice(1);
    const query = `mutation Token($input: ${type}Input!) {
      ${mutation}(input: $input) { ... on ${type}Payload { accessToken refreshToken } }
    }`;
    const request = {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ query, variables: { input } }),
    };
    const answer = await fetch(url, request).then((response) => response.json()).catch(() => null);
    const tokens = answer?.data?.[mutation];
    if (tokens) {
      refreshToken = tokens.refreshToken;
      return tokens.accessToken;
    }
    const error = answer?.errors?.[0];
    if (error?.extensions.code === "UNAUTHENTICATED") throw new Error(error.message);
    // graphql-ws gives up for good when it gets no token, and the server may be back in a moment.
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    return ask();
  }

  // Those who ask at the same time share the answer.
  return () => (asking ??= ask().finally(() => (asking = undefined)));
}

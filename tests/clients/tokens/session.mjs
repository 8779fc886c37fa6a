// Gives an access token whenever one is asked for, from one session that begins with the API key.
export function session(url, apiKey) {
  let refreshToken, asking;

  async function ask() {
    // It is good for one use: if the answer gets lost, the session begins anew.
    const [given, mutation] = refreshToken ? [{ refreshToken }, "refreshSession"] : [{ apiKey }, "signIn"];
    refreshToken = undefined;
    const type = mutation[0].toUpperCase() + mutation.slice(1);
    const query = `mutation Token($input: ${type}Input!) {
      ${mutation}(input: $input) { ... on ${type}Payload { accessToken refreshToken } }
    }`;
    const response = await fetch(url, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ query, variables: { input: given } }),
    });
    const { data, errors } = await response.json();
    if (errors) throw new Error(errors[0].message);
    refreshToken = data[mutation].refreshToken;
    return data[mutation].accessToken;
  }

  // Those who ask at the same time share the answer.
  return () => (asking ??= ask().finally(() => (asking = undefined)));
}

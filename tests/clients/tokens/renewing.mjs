// Options for graphql-ws's createClient: its socket gets a new token before the one that it has expires.
export function renewing(fetchToken) {
  let timer;
  const authorization = async () => ({ authorization: `Bearer ${await fetchToken()}` });
  const renew = async (socket) => {
    timer = setTimeout(renew, 5_000, socket); // again, unless an answer comes that says otherwise
    const payload = await authorization().catch(() => null);
    if (payload && socket.readyState === 1) socket.send(JSON.stringify({ type: "ping", payload }));
  };
  const goodUntil = (expiresAt, socket) => {
    clearTimeout(timer);
    if (!expiresAt) return;
    let left = new Date(expiresAt) - Date.now();
    if (left < 1_000) left = 60_000; // the server has just taken it, so this clock is wrong
    timer = setTimeout(renew, Math.min(left * (0.6 + 0.2 * Math.random()), 2 ** 31 - 1), socket);
  };
  let open;
  return {
    connectionParams: authorization,
    on: {
      connected: (socket, payload) => goodUntil(payload?.tokenExpiresAt, (open = socket)),
      pong: (_, payload) => payload && "tokenExpiresAt" in payload && goodUntil(payload.tokenExpiresAt, open),
      closed: () => clearTimeout(timer),
    },
  };
}

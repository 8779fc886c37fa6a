// Watches an alias until something comes on stdin: node watch.mjs (renewing|plain) URL API_KEY ALIAS
//
// Says what happens as lines of JSON: {connected}, {version}, {renewed}, {closed}.
import { createClient } from "graphql-ws";
import WebSocket from "ws";
import { renewing } from "./renewing.mjs";
import { session } from "./session.mjs";

globalThis.WebSocket ??= WebSocket;

const [how, url, apiKey, alias] = process.argv.slice(2);
const say = (line) => console.log(JSON.stringify(line));

const fetchToken = session(url, apiKey);
const options =
  how === "renewing"
    ? renewing(fetchToken)
    : { connectionParams: async () => ({ authorization: `Bearer ${await fetchToken()}` }) };

const client = createClient({
  url: url.replace(/^http/, "ws"),
  ...options,
  retryAttempts: Infinity,
  retryWait: () => new Promise((resolve) => setTimeout(resolve, Math.random() * 200)),
  shouldRetry: () => true,
});
client.on("connected", () => say({ connected: true }));
client.on("closed", ({ code, reason }) => say({ closed: [code, reason] }));
client.on("pong", (_, payload) => payload && say({ renewed: payload }));

const query = `subscription ($by: [ModelConfigRef!]) {
  modelConfigChanged(by: $by) {
    ... on ModelConfigSnapshot { modelConfigs { version } }
    ... on ModelConfigChange { put { version } }
  }
}`;
client.subscribe(
  { query, variables: { by: [{ alias }] } },
  {
    next: ({ data: { modelConfigChanged: event } }) =>
      (event.modelConfigs ?? event.put ?? []).forEach(({ version }) => say({ version })),
    error: (error) => {
      throw error instanceof Error ? error : new Error(JSON.stringify(error));
    },
    complete: () => {},
  },
);
process.stdin.once("data", async () => {
  await client.dispose();
  process.stdin.destroy();
});

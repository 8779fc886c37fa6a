// What every client does: node scenario.mjs CLIENT URL API_KEY ALIAS [restart]
//
// It reads, watches an alias that is not there, creates it, sees it in the watch, and is told what it does wrong. With
// `restart` it then says "ready", and waits for the watch to begin anew and to show the config's next version.
import assert from "node:assert/strict";
import * as texts from "./documents.mjs";

const [name, url, apiKey, alias, restart] = process.argv.slice(2);
const { connect, execute, subscribe, close = () => {} } = await import(`./setup/${name}.mjs`);
const documents = name === "relay" ? await texts.forRelay() : texts;

const client = connect(url, apiKey);

const { modelConfigs } = await execute(client, documents.modelConfigs, {});
const aliases = modelConfigs.edges.map(({ node }) => node.alias);
assert.ok(aliases.includes("general") && aliases.includes("planning"), aliases);

const events = [];
let wake = () => {};
const unsubscribe = subscribe(
  client,
  documents.modelConfigChanged,
  { by: [{ alias }] },
  ({ modelConfigChanged }) => {
    events.push(modelConfigChanged);
    wake();
  },
  (error) => {
    throw error instanceof Error ? error : new Error(`${JSON.stringify(error)} ${error.code} ${error.reason}`);
  },
);

async function next(wanted) {
  for (;;) {
    const place = events.findIndex(wanted);
    if (place >= 0) return events.splice(0, place + 1).at(-1);
    await new Promise((resolve) => (wake = resolve));
  }
}

const first = await next(() => true);
assert.equal(first.__typename, "ModelConfigSnapshot");
assert.deepEqual(first.modelConfigs, []);

const input = { alias, provider: "openai", model: "gpt-5" };
const created = (await execute(client, documents.createModelConfig, { input })).createModelConfig;
assert.equal(created.__typename, "CreateModelConfigPayload");
assert.equal(created.modelConfig.alias, alias);

const change = await next((event) => event.__typename === "ModelConfigChange");
assert.deepEqual(
  change.put.map(({ id, version }) => [id, version]),
  [[created.modelConfig.id, 1]],
);
assert.deepEqual(change.removed, []);

const again = (await execute(client, documents.createModelConfig, { input })).createModelConfig;
assert.equal(again.__typename, "AliasTaken");
assert.deepEqual(again.path, ["input", "alias"]);

if (name !== "relay") {
  // Relay's compiler lets no such document pass.
  await assert.rejects(async () => {
    try {
      await execute(client, "query Wrong { nothing }", {});
    } catch (error) {
      throw new Error(error.message ?? JSON.stringify(error));
    }
  }, /Cannot query field 'nothing' on type 'Query'/);
}

if (restart) {
  console.log("ready");
  const back = await next((event) => event.__typename === "ModelConfigSnapshot");
  const isSecond = (event) => (event.modelConfigs ?? event.put ?? []).some(({ version }) => version === 2);
  if (!isSecond(back)) await next(isSecond);
}

unsubscribe();
await close(client);
console.log("done");

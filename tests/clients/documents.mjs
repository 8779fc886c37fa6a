// The three operations of every client: as texts, and for Relay as what its compiler makes of the same.
import { readFileSync } from "node:fs";

const source = readFileSync(new URL("relay/documents.js", import.meta.url), "utf8");
const texts = [...source.matchAll(/graphql`\s*(.*?)\s*`/gs)].map((match) => match[1]);

export const [modelConfigs, createModelConfig, modelConfigChanged] = texts;

const compiled = async (name) => (await import(`./relay/__generated__/documents${name}.graphql.js`)).default;

export const forRelay = async () => ({
  modelConfigs: await compiled("ModelConfigsQuery"),
  createModelConfig: await compiled("CreateModelConfigMutation"),
  modelConfigChanged: await compiled("ModelConfigChangedSubscription"),
});

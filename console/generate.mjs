// Writes src/gql/graphql.ts: the operations of every .graphql file in src as typed documents, checked against
// ../schema.graphql. What the schema does not know ends it with an error, and with it the build and the check.
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { codegen } from "@graphql-codegen/core";
import { preset } from "@graphql-codegen/client-preset";
import { buildSchema, parse, specifiedRules, validate } from "graphql";

const FOLDER = "src/gql/";

const text = readFileSync("../schema.graphql", "utf8");
const schemaAst = buildSchema(text);
const documents = readdirSync("src", { recursive: true })
  .filter((name) => name.endsWith(".graphql"))
  .sort()
  .map((name) => {
    const location = path.join("src", name);
    const rawSDL = readFileSync(location, "utf8");
    return { location, rawSDL, document: parse(rawSDL) };
  });

check();
const targets = await preset.buildGeneratesSection({
  baseOutputDir: FOLDER,
  schema: parse(text),
  schemaAst,
  documents,
  plugins: [],
  pluginMap: {},
  presetConfig: { fragmentMasking: false, skipIndexFile: true },
  config: {
    scalars: { DateTime: "string", JSON: "unknown", Revision: "string" },
    strictScalars: true,
    enumType: "string-literal",
    useTypeImports: true,
    skipTypename: true,
  },
});
for (const target of targets.filter(({ filename }) => filename.endsWith("/graphql.ts"))) {
  const code = await codegen(target);
  mkdirSync(FOLDER, { recursive: true });
  // Written when it changes only, lest a running `npm run dev` loads everything anew.
  if (read(target.filename) !== code) writeFileSync(target.filename, code);
}

function read(file) {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return null;
  }
}

/** Fragments are known to all files, so all are checked as one document. */
function check() {
  const all = { kind: "Document", definitions: documents.flatMap(({ document }) => document.definitions) };
  const errors = validate(schemaAst, all, specifiedRules);
  if (errors.length > 0) {
    for (const error of errors) console.error(`${place(error)}: ${error.message}`);
    process.exit(1);
  }
}

function place(error) {
  const node = error.nodes?.[0];
  const file = documents.find(({ rawSDL }) => rawSDL === node?.loc?.source.body);
  return `console/${file?.location ?? "src"}:${node?.loc?.startToken.line ?? 0}`;
}

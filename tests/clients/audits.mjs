// The audits of graphql-http, by the authors of the GraphQL over HTTP specification: node audits.mjs URL API_KEY
import { auditServer } from "graphql-http";

const [url, apiKey] = process.argv.slice(2);
const results = await auditServer({
  url,
  fetchFn: (input, init) =>
    fetch(input, { ...init, headers: { ...init?.headers, authorization: `Bearer ${apiKey}` } }),
});
console.log(JSON.stringify(results.map(({ id, name, status, reason }) => ({ id, name, status, reason }))));

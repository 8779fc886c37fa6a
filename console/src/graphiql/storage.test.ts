import { expect, it } from "vitest";
import { ForgetfulStorage } from "./storage";

function browser(): { storage: ForgetfulStorage; kept: Map<string, string> } {
  const kept = new Map<string, string>();
  const storage = new ForgetfulStorage({
    length: 0,
    getItem: (key) => kept.get(key) ?? null,
    setItem: (key, value) => void kept.set(key, value),
    removeItem: (key) => void kept.delete(key),
    clear: () => kept.clear(),
  });
  return { storage, kept };
}

it("writes the theme alone to the browser", () => {
  const { storage, kept } = browser();
  for (const name of ["theme", "query", "variables", "headers", "tabState", "queries", "operationName"]) {
    storage.setItem(`graphiql:${name}`, name);
    expect(storage.getItem(`graphiql:${name}`)).toBe(name);
  }
  expect([...kept.keys()]).toEqual(["graphiql:theme"]);
});

it("forgets what is removed", () => {
  const { storage } = browser();
  storage.setItem("graphiql:query", "{ a }");
  storage.setItem("graphiql:theme", "dark");
  storage.removeItem("graphiql:query");
  storage.removeItem("graphiql:theme");
  expect(storage.getItem("graphiql:query")).toBeNull();
  expect(storage.getItem("graphiql:theme")).toBeNull();
});

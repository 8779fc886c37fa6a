import type { Storage } from "@graphiql/toolkit";

const KEPT = new Set(["graphiql:theme"]);

/**
 * What GraphiQL remembers: in memory for as long as the page is open, in the browser the chosen theme alone.
 * Its tabs and its history can hold secrets, in headers and in the credentials that a mutation sets.
 */
export class ForgetfulStorage implements Storage {
  readonly #memory = new Map<string, string>();
  readonly #browser: Storage;

  constructor(browser: Storage = window.localStorage) {
    this.#browser = browser;
  }

  get length(): number {
    return this.#memory.size;
  }

  getItem(key: string): string | null {
    return KEPT.has(key) ? this.#browser.getItem(key) : (this.#memory.get(key) ?? null);
  }

  setItem(key: string, value: string): void {
    if (KEPT.has(key)) {
      this.#browser.setItem(key, value);
    } else {
      this.#memory.set(key, value);
    }
  }

  removeItem(key: string): void {
    this.#memory.delete(key);
    if (KEPT.has(key)) {
      this.#browser.removeItem(key);
    }
  }

  clear(): void {
    this.#memory.clear();
  }
}

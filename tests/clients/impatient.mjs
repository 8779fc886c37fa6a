// Preloaded by tests of reconnects: long delays, which are those between attempts, are a twentieth of what they are.
const { setTimeout } = globalThis;
globalThis.setTimeout = (callback, delay, ...rest) =>
  setTimeout(callback, delay >= 300 ? delay / 20 : delay, ...rest);

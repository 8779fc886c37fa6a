// Preloaded by tests of reconnects: the delays between attempts are a twentieth of what they are.
const { setTimeout } = globalThis;
globalThis.setTimeout = (callback, delay, ...rest) => setTimeout(callback, delay / 20, ...rest);

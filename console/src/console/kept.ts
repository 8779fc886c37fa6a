import { createContext, use, useEffect, useState } from "react";

/** What was typed and not saved, by where it was typed, for as long as the same person is signed in. */
export const KeptContext = createContext<Map<string, unknown>>(new Map());

/**
 * State that outlives its page while `worth` says that it is worth it: whoever leaves a form half-filled finds it so
 * again. `initial` makes the state when nothing is kept. `kept`: whether it was found. `forget`, as the page is left, keeps
 * nothing.
 */
export function useKept<State>(name: string, initial: () => State, worth: (state: State) => boolean) {
  const all = use(KeptContext);
  const [kept] = useState(() => all.has(name));
  const [state, setState] = useState(() => (all.has(name) ? (all.get(name) as State) : initial()));
  const keep = worth(state);
  useEffect(() => {
    if (keep) all.set(name, state);
    else all.delete(name);
  }, [all, name, state, keep]);
  return { state, setState, kept, forget: () => all.delete(name) };
}

import { useCallback, useEffect, useRef, useState } from "react";

/** `value` when it has not changed for a while: for what is asked of the server while somebody types. */
export function useSettled<Value>(value: Value, milliseconds = 400): Value {
  const [settled, setSettled] = useState(value);
  const text = JSON.stringify(value);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(JSON.parse(text) as Value), milliseconds);
    return () => clearTimeout(timer);
  }, [text, milliseconds]);
  return settled;
}

/** Has the browser ask before the page is left while `changed`. */
export function useLeaveWarning(changed: boolean): void {
  useEffect(() => {
    if (!changed) return undefined;
    const ask = (event: BeforeUnloadEvent) => event.preventDefault();
    addEventListener("beforeunload", ask);
    return () => removeEventListener("beforeunload", ask);
  }, [changed]);
}

/**
 * Gives a function that has a query asked again. While an answer is on its way, which may be older than the wish, it is
 * asked once more behind it. `busy`: whether one is.
 */
export function useRefresh(busy: boolean, ask: () => void): () => void {
  const [wanted, setWanted] = useState(false);
  const latest = useRef(ask);
  latest.current = ask;
  useEffect(() => {
    if (!wanted || busy) return;
    setWanted(false);
    latest.current();
  }, [wanted, busy]);
  return useCallback(() => setWanted(true), []);
}

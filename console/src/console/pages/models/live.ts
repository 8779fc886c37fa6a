import { useEffect, useRef, useState } from "react";
import { useSubscription } from "urql";
import { ModelChangesDocument, type ModelChangesSubscription } from "../../../gql/graphql";

type Event = ModelChangesSubscription["modelConfigChanged"];
export type Change = Extract<Event, { __typename: "ModelConfigChange" }>;

const MARKED_MILLISECONDS = 12_000;

/** Calls `onEvent` with each event of the watch of all configs, the first of them when it begins and after each gap. */
export function useModelEvents(onEvent: (event: Event) => void): void {
  const handler = useRef(onEvent);
  handler.current = onEvent;
  useSubscription({ query: ModelChangesDocument }, (_, data) => {
    handler.current(data.modelConfigChanged);
    return data;
  });
}

/** The ids of what changed just now: `mark` adds some, for a while. */
export function useMarks(): { marked: ReadonlySet<string>; mark: (ids: readonly string[]) => void } {
  const [marked, setMarked] = useState<ReadonlySet<string>>(new Set());
  const timers = useRef(new Map<string, ReturnType<typeof setTimeout>>());
  useEffect(() => () => timers.current.forEach(clearTimeout), []);

  function mark(ids: readonly string[]): void {
    setMarked((before) => new Set([...before, ...ids]));
    for (const id of ids) {
      clearTimeout(timers.current.get(id));
      const unmark = () => setMarked((before) => new Set([...before].filter((other) => other !== id)));
      timers.current.set(id, setTimeout(unmark, MARKED_MILLISECONDS));
    }
  }
  return { marked, mark };
}

/** Calls `work` every so often while the page can be seen, and at once when it comes into sight again. */
export function useWhileVisible(work: () => void, milliseconds: number): void {
  const latest = useRef(work);
  latest.current = work;
  useEffect(() => {
    const doIt = () => document.visibilityState === "visible" && latest.current();
    const timer = setInterval(doIt, milliseconds);
    document.addEventListener("visibilitychange", doIt);
    return () => {
      clearInterval(timer);
      document.removeEventListener("visibilitychange", doIt);
    };
  }, [milliseconds]);
}

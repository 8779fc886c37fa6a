import { useEffect, useRef, useState } from "react";
import { useSubscription } from "urql";
import {
  ModelChangesDocument,
  RolloutChangesDocument,
  type ModelChangesSubscription,
  type RolloutChangesSubscription,
} from "../../../gql/graphql";
import { useMay } from "../../signed";

type Event = ModelChangesSubscription["modelConfigChanged"];
export type Change = Extract<Event, { __typename: "ModelConfigChange" }>;

export type LiveRollout = RolloutChangesSubscription["componentChanged"]["rollouts"][number]["rollout"];

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

/** How far each version has come, by the config's id, as components speak. Without the right to see it, nothing. */
export function useRollouts(): ReadonlyMap<string, LiveRollout> {
  const pause = !useMay("component:read");
  const [rollouts, setRollouts] = useState<ReadonlyMap<string, LiveRollout>>(new Map());
  useSubscription({ query: RolloutChangesDocument, pause }, (_, data) => {
    const told = data.componentChanged.rollouts;
    if (told.length > 0) {
      setRollouts((before) => new Map([...before, ...told.map(({ id, rollout }) => [id, rollout] as const)]));
    }
    return data;
  });
  return rollouts;
}

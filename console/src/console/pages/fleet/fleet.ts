import type { FleetComponentFragment, FleetRolloutFragment, FleetSubscription } from "../../../gql/graphql";

export type FleetEvent = FleetSubscription["componentChanged"];

/** What is watched of the fleet, by id. `complete` is false while more of its first state follows. */
export interface Fleet {
  components: ReadonlyMap<string, FleetComponentFragment>;
  rollouts: ReadonlyMap<string, FleetRolloutFragment>;
  complete: boolean;
}

const NOBODY: Fleet = { components: new Map(), rollouts: new Map(), complete: false };

/** The fleet after an event. A snapshot replaces all that is known; `before` undefined: nothing is. */
export function fleetAfter(before: Fleet | undefined, event: FleetEvent): Fleet {
  const { components, rollouts } = event.__typename === "ComponentSnapshot" || before === undefined ? NOBODY : before;
  const next = { components: new Map(components), rollouts: new Map(rollouts), complete: event.complete };
  if (event.__typename === "ComponentChange") {
    event.removed.forEach(({ id }) => next.components.delete(id));
    event.removedRollouts.forEach(({ id }) => next.rollouts.delete(id));
  }
  const put = event.__typename === "ComponentSnapshot" ? event.components : event.put;
  put.forEach((watched) => next.components.set(watched.component.id, watched));
  event.rollouts.forEach((rollout) => next.rollouts.set(rollout.id, rollout));
  return next;
}

/** Online ones first, then by name, then by who came last. */
export function inOrder(fleet: Fleet): FleetComponentFragment[] {
  return [...fleet.components.values()].sort(
    ({ component: a }, { component: b }) =>
      Number(b.online) - Number(a.online) ||
      a.name.localeCompare(b.name) ||
      Date.parse(b.connectedAt) - Date.parse(a.connectedAt),
  );
}

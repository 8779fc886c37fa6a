import { expect, test } from "vitest";
import type { FleetComponentFragment, FleetRolloutFragment } from "../../../gql/graphql";
import { matching } from "../components/matching";
import { fleetAfter, inOrder, type FleetEvent } from "./fleet";

function component(id: string, more: Partial<FleetComponentFragment["component"]> = {}): FleetComponentFragment {
  const at = "2026-01-01T00:00:00Z";
  return {
    component: {
      __typename: "Component",
      id,
      instanceId: id,
      name: id,
      kind: null,
      libraryVersion: null,
      labels: {},
      subject: "api_key:x",
      online: true,
      connectedAt: at,
      disconnectedAt: null,
      ...more,
    },
    bindings: [],
  } as FleetComponentFragment;
}

const rollout = (id: string, version: number) => ({ id, alias: id, rollout: { version } }) as FleetRolloutFragment;
const snapshot = (components: FleetComponentFragment[], rollouts: FleetRolloutFragment[] = []) =>
  ({ __typename: "ComponentSnapshot", complete: true, components, rollouts }) as FleetEvent;
const change = (event: object) =>
  ({ __typename: "ComponentChange", complete: true, put: [], removed: [], rollouts: [], removedRollouts: [], ...event }) as FleetEvent;

test("a change puts and removes, and leaves the rest", () => {
  const first = fleetAfter(undefined, snapshot([component("a"), component("b")], [rollout("m", 1), rollout("n", 1)]));
  const after = fleetAfter(
    first,
    change({ put: [component("c")], removed: [{ id: "a" }], rollouts: [rollout("m", 2)], removedRollouts: [{ id: "n" }] }),
  );
  expect([...after.components.keys()]).toEqual(["b", "c"]);
  expect([...after.rollouts.values()].map((one) => [one.id, one.rollout.version])).toEqual([["m", 2]]);
  expect([...first.components.keys()]).toEqual(["a", "b"]);
});

test("a snapshot replaces all that is known", () => {
  const after = fleetAfter(fleetAfter(undefined, snapshot([component("a")])), snapshot([component("b")]));
  expect([...after.components.keys()]).toEqual(["b"]);
});

test("who is connected comes first, then the name counts", () => {
  const fleet = fleetAfter(undefined, snapshot([component("z"), component("a", { online: false }), component("m")]));
  expect(inOrder(fleet).map(({ component: { id } }) => id)).toEqual(["m", "z", "a"]);
});

test("components are found by name, label and alias", () => {
  const all = [component("orders"), component("x", { labels: { zone: "Orders-EU" } }), component("y")];
  expect(matching(all, " ORDERS ").map(({ component: { id } }) => id)).toEqual(["orders", "x"]);
  expect(matching(all, "")).toHaveLength(3);
});

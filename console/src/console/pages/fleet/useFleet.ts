import { useMemo } from "react";
import { useSubscription, type CombinedError } from "urql";
import { FleetDocument, type FleetSubscription } from "../../../gql/graphql";
import { fleetAfter, type Fleet } from "./fleet";

/** The components that use the config with this id (undefined: all components), and each change of them as it comes. */
export function useFleet(configId?: string): { fleet: Fleet | undefined; error: CombinedError | undefined } {
  const variables = useMemo(() => ({ by: configId === undefined ? null : [{ id: configId }] }), [configId]);
  const [{ data, error }] = useSubscription<FleetSubscription, Fleet>({ query: FleetDocument, variables }, (before, event) =>
    fleetAfter(before, event.componentChanged),
  );
  return { fleet: data, error };
}

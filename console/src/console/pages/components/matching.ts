import type { FleetComponentFragment } from "../../../gql/graphql";

/** Those of which the name, the kind, the instance, a label or an alias contains the text, in any case. */
export function matching(components: readonly FleetComponentFragment[], text: string): FleetComponentFragment[] {
  const wanted = text.trim().toLowerCase();
  return components.filter(({ component: { name, kind, instanceId, labels }, bindings }) =>
    [name, kind ?? "", instanceId, ...Object.values(labels as Record<string, string>), ...bindings.map(({ alias }) => alias)]
      .some((field) => field.toLowerCase().includes(wanted)),
  );
}

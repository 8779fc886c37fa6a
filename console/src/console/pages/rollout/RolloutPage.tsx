import { useQuery } from "urql";
import { useParams } from "wouter";
import { RolloutOfDocument, type FleetBindingFragment, type FleetComponentFragment } from "../../../gql/graphql";
import { RolloutBar } from "../../parts/Rollout";
import { Empty, Failure, Loading } from "../../parts/states";
import { Table, type Column } from "../../parts/Table";
import { Time } from "../../parts/Time";
import { BindingState, versionText } from "../fleet/BindingState";
import { inOrder } from "../fleet/fleet";
import { useFleet } from "../fleet/useFleet";
import { useModelEvents } from "../models/live";
import { ModelPage } from "../models/ModelPage";
import { AppliedChart } from "./AppliedChart";
import { secondsToApplied } from "./times";

type Row = { component: FleetComponentFragment["component"]; binding: FleetBindingFragment };

/** Which component runs which version of a model config, since when, and why not. */
export function RolloutPage() {
  const { id = "" } = useParams();
  const [{ data, error }, ask] = useQuery({ query: RolloutOfDocument, variables: { id } });
  const { fleet, error: fleetError } = useFleet(id);
  const again = () => ask({ requestPolicy: "network-only" });
  useModelEvents(again);

  const model = data?.modelConfig;
  if (model === null) {
    return (
      <ModelPage id={id} title="Rollout">
        <Empty title="There is no such model">It was deleted, or your key does not open it.</Empty>
      </ModelPage>
    );
  }
  const problem = error ?? fleetError;
  const counts = fleet?.rollouts.get(id)?.rollout;
  const rows = fleet === undefined ? [] : inOrder(fleet).flatMap(({ component, bindings }) => bindings.map((binding) => ({ component, binding })));
  const times = fleet === undefined || model === undefined ? [] : secondsToApplied(fleet.components.values(), model.version, model.updatedAt);
  return (
    <ModelPage id={id} alias={model?.alias} title="Rollout">
      {problem !== undefined && <Failure error={problem} onRetry={again} />}
      {(model === undefined || fleet === undefined) && problem === undefined && <Loading what="the rollout" />}
      {model !== undefined && counts !== undefined && (
        <section className="panel" aria-label={`Rollout of version ${counts.version}`}>
          <h2>
            Version {counts.version}, <Time at={model.updatedAt} />
          </h2>
          <RolloutBar counts={counts} />
          {counts.reasons.length > 0 && (
            <ul className="reasons">
              {counts.reasons.map(({ reason, components }) => (
                <li key={reason}>
                  <span className="pill danger">{reason ?? "no reason given"}</span> {components}{" "}
                  {components === 1 ? "component" : "components"}
                </li>
              ))}
            </ul>
          )}
          {times.length > 0 && <AppliedChart times={times} />}
        </section>
      )}
      {rows.length > 0 && (
        <Table caption="Components that use it" columns={COLUMNS} rows={rows} keyOf={({ component, binding }) => `${component.id} ${binding.alias}`} />
      )}
      {fleet?.complete && rows.length === 0 && (
        <Empty title="No component uses it">Those that do, and were connected within a day, are listed here.</Empty>
      )}
    </ModelPage>
  );
}

const COLUMNS: Column<Row>[] = [
  {
    title: "Component",
    cell: ({ component: { name, instanceId } }) => (
      <>
        <strong>{name}</strong>
        <div className="quiet breakable">
          <code>{instanceId}</code>
        </div>
      </>
    ),
  },
  { title: "State", cell: ({ binding }) => <BindingState binding={binding} /> },
  { title: "Runs", cell: ({ binding }) => <span className="number">{versionText(binding.appliedVersion)}</span> },
  {
    title: "Said so",
    cell: ({ binding: { acknowledgedAt } }) => (acknowledgedAt === null ? <span className="quiet">not yet</span> : <Time at={acknowledgedAt} />),
    wideOnly: true,
  },
];

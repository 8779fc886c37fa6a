import { useDeferredValue, useState } from "react";
import type { FleetComponentFragment } from "../../../gql/graphql";
import { Page } from "../../parts/Page";
import { Search } from "../../parts/Search";
import { Empty, Failure, Loading } from "../../parts/states";
import { Table, type Column } from "../../parts/Table";
import { Time } from "../../parts/Time";
import { BindingState, versionText } from "../fleet/BindingState";
import { inOrder } from "../fleet/fleet";
import { useFleet } from "../fleet/useFleet";
import { matching } from "./matching";

/** So many are shown at first, and more with each click. */
const SHOWN = 100;

export function ComponentsPage() {
  const { fleet, error } = useFleet();
  const [typed, setTyped] = useState("");
  const [onlineOnly, setOnlineOnly] = useState(false);
  const [shown, setShown] = useState(SHOWN);
  const search = useDeferredValue(typed);
  const all = fleet === undefined ? [] : inOrder(fleet);
  const online = all.filter(({ component }) => component.online);
  const found = matching(onlineOnly ? online : all, search);

  return (
    <Page
      title="Components"
      lead={fleet === undefined ? "Who is connected, and what each runs." : `${online.length} connected, ${all.length - online.length} away. Changes show as they come.`}
    >
      <div className="tools">
        <Search label="Search components" value={typed} onChange={setTyped} />
        <label className="check">
          <input type="checkbox" checked={onlineOnly} onChange={() => setOnlineOnly(!onlineOnly)} />
          Connected only
        </label>
      </div>
      {error !== undefined && <Failure error={error} />}
      {fleet === undefined && error === undefined && <Loading what="components" />}
      {found.length > 0 && (
        <Table caption="Components" columns={COLUMNS} rows={found.slice(0, shown)} keyOf={({ component }) => component.id} />
      )}
      {found.length > shown && (
        <button className="button" type="button" onClick={() => setShown(shown + SHOWN)}>
          Show more of {found.length}
        </button>
      )}
      {fleet?.complete && found.length === 0 && <NoComponents any={all.length > 0} />}
    </Page>
  );
}

function NoComponents({ any }: { any: boolean }) {
  return any ? (
    <Empty title="No component matches">No name, instance, label or alias contains what you typed.</Empty>
  ) : (
    <Empty title="No component has connected yet">
      A component is a process with Modelwire’s subscriber in it, whose API key permits <code>component:report</code>.
    </Empty>
  );
}

const COLUMNS: Column<FleetComponentFragment>[] = [
  {
    title: "Component",
    cell: ({ component: { name, kind, instanceId, online, labels } }) => (
      <div className="named">
        <span className={online ? "dot on" : "dot"} role="img" aria-label={online ? "connected" : "away"} />
        <div>
          <strong>{name}</strong>
          {kind !== null && <span className="pill">{kind}</span>}
          <div className="quiet breakable">{labelsText(labels)}</div>
          <div className="quiet breakable wide-only">
            <code>{instanceId}</code>
          </div>
        </div>
      </div>
    ),
  },
  {
    title: "Uses",
    cell: ({ bindings }) =>
      bindings.length === 0 ? (
        <span className="quiet">nothing by name</span>
      ) : (
        <ul className="bindings">
          {bindings.map((binding) => (
            <li key={`${binding.alias} ${binding.modelConfigId}`}>
              <span className="breakable">{binding.alias}</span>
              <span className="number quiet">{versionText(binding.appliedVersion)}</span>
              <div>
                <BindingState binding={binding} />
              </div>
            </li>
          ))}
        </ul>
      ),
  },
  {
    title: "Library",
    cell: ({ component: { libraryVersion } }) => <span className="number">{libraryVersion ?? "–"}</span>,
    wideOnly: true,
  },
  {
    title: "Since",
    cell: ({ component: { online, connectedAt, disconnectedAt, subject } }) => (
      <>
        {online || disconnectedAt === null ? <Time at={connectedAt} /> : <Time at={disconnectedAt} />}
        <div className="quiet clipped">{subject}</div>
      </>
    ),
    wideOnly: true,
  },
];

function labelsText(labels: unknown): string {
  return Object.entries(labels as Record<string, string>)
    .map(([name, value]) => `${name}=${value}`)
    .join(" ");
}

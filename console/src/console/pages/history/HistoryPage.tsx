import { useEffect, useState } from "react";
import { useQuery } from "urql";
import { useParams } from "wouter";
import { ModelHistoryDocument, type VersionRowFragment } from "../../../gql/graphql";
import { useRefresh } from "../../parts/hooks";
import { Empty, Failure, Loading } from "../../parts/states";
import { Time } from "../../parts/Time";
import { useMay } from "../../signed";
import { useModelEvents } from "../models/live";
import { ModelPage } from "../models/ModelPage";
import { comparedPair, difference, toggled } from "./difference";
import { Differences } from "./Differences";
import { RollBackDialog } from "./RollBackDialog";

/** The versions of one model config, the newest first: read as they are scrolled to, so that any two can be compared. */
export function HistoryPage() {
  const { id = "" } = useParams();
  const [after, setAfter] = useState<string | null>(null);
  const [versions, setVersions] = useState<readonly VersionRowFragment[]>([]);
  const [chosen, setChosen] = useState<readonly number[]>([]);
  const [target, setTarget] = useState<number | null>(null);
  const mayWrite = useMay("model_config:write");
  const [{ data, error, fetching, stale }, ask] = useQuery({
    query: ModelHistoryDocument,
    variables: { id, after },
    requestPolicy: "network-only",
  });
  const again = useRefresh(fetching || stale, () => ask({ requestPolicy: "network-only" }));
  const model = data?.modelConfig;

  useEffect(() => {
    const read = model?.history.edges.map(({ node }) => node) ?? [];
    setVersions((known) => merged(known, read));
  }, [model]);
  useModelEvents((event) => {
    if (event.__typename === "ModelConfigChange" && [...event.put, ...event.removed].some((config) => config.id === id)) {
      setAfter(null);
      again();
    }
  });

  if (model === null) {
    return (
      <ModelPage id={id} title="History">
        <Empty title="There is no such model">It was deleted, or your key does not open it.</Empty>
      </ModelPage>
    );
  }
  const pair = model === undefined ? null : comparedPair(chosen, model.version);
  return (
    <ModelPage id={id} alias={model?.alias} title="History">
      {error !== undefined && <Failure error={error} onRetry={again} />}
      {model === undefined && error === undefined && <Loading what="the history" />}
      {versions.length > 1 && pair === null && (
        <p className="quiet">Choose one version to compare it with today’s, or two to compare them with each other.</p>
      )}
      {pair !== null && (
        <section className="panel" aria-label="Comparison">
          <h2>
            Version {pair.older} and version {pair.newer}
          </h2>
          <Differences changes={difference(versions, pair.older, pair.newer)} />
        </section>
      )}
      <ol className="versions">
        {versions.map((row) => (
          <Version
            key={row.version}
            row={row}
            current={row.version === model?.version}
            compared={chosen.includes(row.version)}
            onCompare={() => setChosen(toggled(chosen, row.version))}
            onRollBack={mayWrite ? () => setTarget(row.version) : null}
          />
        ))}
      </ol>
      {model?.history.pageInfo.hasNextPage && (
        <button className="button" type="button" onClick={() => setAfter(model.history.pageInfo.endCursor)}>
          Older versions
        </button>
      )}
      {target !== null && model !== undefined && (
        <RollBackDialog
          model={model}
          toVersion={target}
          changes={backwards(versions, target, model.version)}
          onClose={() => setTarget(null)}
          onDone={() => setAfter(null)}
        />
      )}
    </ModelPage>
  );
}

interface VersionProps {
  row: VersionRowFragment;
  current: boolean;
  compared: boolean;
  onCompare: () => void;
  /** null when it is not permitted */
  onRollBack: (() => void) | null;
}

function Version({ row, current, compared, onCompare, onRollBack }: VersionProps) {
  return (
    <li className="panel">
      <div className="version-head">
        <h2 className="number">Version {row.version}</h2>
        {current && <span className="pill good">current</span>}
        <span className="quiet breakable">
          <Time at={row.at} /> by {row.by}
        </span>
        <span className="actions">
          <button className="button small" type="button" aria-pressed={compared} onClick={onCompare}>
            Compare<span className="visually-hidden"> version {row.version}</span>
          </button>
          {!current && onRollBack !== null && (
            <button className="button small" type="button" onClick={onRollBack}>
              Roll back<span className="visually-hidden"> to version {row.version}</span>
            </button>
          )}
        </span>
      </div>
      {row.baseline && row.version > 1 && <p className="quiet">The version before it is no longer kept.</p>}
      <Differences changes={row.changes} />
    </li>
  );
}

/** What a roll-back will change: the difference, the other way round. */
function backwards(versions: readonly VersionRowFragment[], to: number, from: number) {
  return difference(versions, to, from)
    .filter(({ secret }) => !secret)
    .map((change) => ({ ...change, before: change.after, after: change.before }));
}

function merged(known: readonly VersionRowFragment[], read: readonly VersionRowFragment[]): VersionRowFragment[] {
  const all = new Map([...known, ...read].map((row) => [row.version, row]));
  return [...all.values()].sort((a, b) => b.version - a.version);
}

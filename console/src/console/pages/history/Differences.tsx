import { valueText, type FieldChange } from "./difference";

/** Fields with what they were and what they are. */
export function Differences({ changes }: { changes: readonly FieldChange[] }) {
  if (changes.length === 0) {
    return <p className="quiet">Nothing differs.</p>;
  }
  return (
    <dl className="differences">
      {changes.map((change) => (
        <div key={change.path.join(".")}>
          <dt>{change.path.join(".")}</dt>
          <dd>{change.secret ? <span className="quiet">a secret, which was changed</span> : <Values change={change} />}</dd>
        </div>
      ))}
    </dl>
  );
}

function Values({ change: { before, after } }: { change: FieldChange }) {
  return (
    <>
      <del aria-label={`before: ${valueText(before)}`}>{valueText(before)}</del>
      <ins aria-label={`after: ${valueText(after)}`}>{valueText(after)}</ins>
    </>
  );
}

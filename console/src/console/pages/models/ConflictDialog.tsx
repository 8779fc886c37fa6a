import { useState } from "react";
import { Dialog } from "../../parts/Dialog";
import { labelOf } from "../../parts/labels";
import { Time } from "../../parts/Time";
import { differences, merged, type Group } from "./conflict";
import type { Draft, Settings } from "./draft";

interface Props {
  draft: Draft;
  base: Settings;
  current: Settings;
  onClose: () => void;
  /** Go on with this draft of what is stored now. `save`: and save it. */
  onChoose: (draft: Draft, save: boolean) => void;
}

/** Somebody else saved first: shows both versions where they differ, and lets the user choose. */
export function ConflictDialog({ draft, base, current, onClose, onChoose }: Props) {
  const rows = differences(draft, base, current);
  const [theirs, setTheirs] = useState<ReadonlySet<Group>>(
    () => new Set(rows.filter(({ changed }) => !changed).map(({ group }) => group)),
  );

  function choose(group: Group, their: boolean): void {
    setTheirs((before) => new Set(their ? [...before, group] : [...before].filter((other) => other !== group)));
  }

  const all = new Set(rows.map(({ group }) => group));
  return (
    <Dialog
      title={`Version ${current.version} was saved meanwhile`}
      wide
      onClose={onClose}
      onSubmit={() => onChoose(merged(draft, current, theirs), true)}
      actions={
        <>
          <button className="button" type="button" onClick={onClose}>
            Cancel
          </button>
          <button className="button" type="button" onClick={() => onChoose(merged(draft, current, all), false)}>
            Discard mine
          </button>
          <button className="button" type="button" onClick={() => onChoose(merged(draft, current, theirs), false)}>
            Go on editing
          </button>
          <button className="button primary" type="submit">
            Save what is chosen
          </button>
        </>
      }
    >
      <p>
        By {current.updatedBy}, <Time at={current.updatedAt} />. You began with version {base.version}. Choose what the next
        version shall have:
      </p>
      {rows.length === 0 && <p>Both are the same.</p>}
      <div className="conflict">
        {rows.map(({ group, mine, theirs: other }) => (
          <fieldset key={group}>
            <legend>{labelOf(group)}</legend>
            <label className="side">
              <span>
                <input type="radio" checked={!theirs.has(group)} onChange={() => choose(group, false)} /> Mine
              </span>
              <pre>{mine || "not set"}</pre>
            </label>
            <label className="side">
              <span>
                <input type="radio" checked={theirs.has(group)} onChange={() => choose(group, true)} /> Version{" "}
                {current.version}
              </span>
              <pre>{other || "not set"}</pre>
            </label>
          </fieldset>
        ))}
      </div>
    </Dialog>
  );
}

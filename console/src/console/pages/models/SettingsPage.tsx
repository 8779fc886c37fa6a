import { useState } from "react";
import { useMutation, useQuery } from "urql";
import { useLocation, useParams } from "wouter";
import { ModelDocument, UpdateModelDocument } from "../../../gql/graphql";
import { useRefresh } from "../../parts/hooks";
import { Banner, Empty, Failure, Loading, messageOf } from "../../parts/states";
import { Time } from "../../parts/Time";
import { useToast } from "../../parts/Toasts";
import { useKept } from "../../kept";
import { useMay } from "../../signed";
import { ConflictDialog } from "./ConflictDialog";
import { DeleteDialog } from "./DeleteDialog";
import { changesOf, draftOf, isChanged, type Changes, type Draft, type Settings } from "./draft";
import { useModelEvents, type Change } from "./live";
import { ModelForm, type Refusal } from "./ModelForm";
import { ModelPage } from "./ModelPage";

/** The settings of one model. */
export function SettingsPage() {
  const { id = "" } = useParams<{ id: string }>();
  const [{ data, error, fetching, stale }, ask] = useQuery({
    query: ModelDocument,
    variables: { id },
    requestPolicy: "network-only",
  });
  const again = useRefresh(fetching || stale, () => ask({ requestPolicy: "network-only" }));
  // The first event comes when the watch begins, and after each gap: what happened before is in the answer to it.
  useModelEvents((event) => {
    if (event.__typename !== "ModelConfigChange" || idsOf(event).includes(id)) again();
  });
  const [first, setFirst] = useState<Settings | null>(null);
  const model = data?.modelConfig;
  // What is edited does not follow the query: the editor itself says when others write.
  if (model && first?.id !== model.id) setFirst(model);
  if (first !== null && first.id === id) {
    return <Editor key={id} initial={first} newest={model === undefined ? first : model} />;
  }
  return (
    <ModelPage id={id} title="Settings">
      {error !== undefined && <Failure error={error} onRetry={() => ask()} />}
      {data === undefined && error === undefined && <Loading what="the model" />}
      {data !== undefined && model === null && (
        <Empty title="There is no such model">It was deleted, or your API key does not open it.</Empty>
      )}
    </ModelPage>
  );
}

function idsOf({ put, removed }: Change): string[] {
  return [...put, ...removed].map(({ id }) => id);
}

/** `newest`: the model as it is stored now; null when it was deleted. */
function Editor({ initial, newest }: { initial: Settings; newest: Settings | null }) {
  const { state, setState, kept } = useKept(
    `model:${initial.id}`,
    () => ({ base: initial, draft: draftOf(initial) }),
    (edited) => isChanged(edited.draft, edited.base),
  );
  const { base, draft } = state;
  const changed = isChanged(draft, base);
  const [conflict, setConflict] = useState<Settings | null>(null);
  const [deleting, setDeleting] = useState(false);
  const [, update] = useMutation(UpdateModelDocument);
  const toast = useToast();
  const [, navigate] = useLocation();
  const mayWrite = useMay("model_config:write");

  function show(stored: Settings): void {
    setState({ base: stored, draft: draftOf(stored) });
  }

  // When nothing was typed yet, what others saved is shown at once.
  const newer = newest !== null && newest.version > base.version ? newest : null;
  if (newer !== null && !changed) show(newer);

  async function write(stored: Settings, changes: Changes): Promise<Refusal | null> {
    const { data, error } = await update({ input: { id: stored.id, expectedVersion: stored.version, ...changes } });
    if (error !== undefined || data === undefined) {
      return { message: error === undefined ? "The server gave no answer." : messageOf(error), path: null };
    }
    const result = data.updateModelConfig;
    if (result.__typename === "VersionConflict") {
      setConflict(result.current);
      return null;
    }
    if (result.__typename !== "UpdateModelConfigPayload") return result;
    if (result.modelConfig !== null) show(result.modelConfig);
    const { alias, version } = result.modelConfig ?? stored;
    const saved = `“${alias}” was saved as version ${version}`;
    if (result.droppedCredentials) toast(`${saved}, without the credentials that were stored.`, "danger");
    else toast(`${saved}.`);
    return null;
  }

  async function choose(current: Settings, chosen: Draft, save: boolean): Promise<void> {
    setConflict(null);
    setState({ base: current, draft: chosen });
    const { changes, problems } = changesOf(chosen, current);
    if (!save || Object.keys(changes).length === 0 || Object.keys(problems).length > 0) return;
    const refusal = await write(current, changes);
    if (refusal !== null) toast(refusal.message, "danger");
  }

  return (
    <ModelPage
      id={base.id}
      alias={base.alias}
      title="Settings"
      lead={
        <>
          Version {base.version} by {base.updatedBy}, <Time at={base.updatedAt} />
        </>
      }
    >
      {kept && changed && <Banner tone="info">These are your changes from before. They are not saved.</Banner>}
      {newest === null && <Banner tone="danger">This model was deleted meanwhile.</Banner>}
      {newer !== null && (
        <Banner tone="warn">
          <p>
            <strong>Version {newer.version} was saved meanwhile</strong> by {newer.updatedBy}.
          </p>
          <button className="button small" type="button" onClick={() => setConflict(newer)}>
            Compare
          </button>
        </Banner>
      )}
      <ModelForm
        draft={draft}
        base={base}
        onChange={(next) => setState({ base, draft: next })}
        onSave={(changes) => write(base, changes)}
        actions={
          <>
            {mayWrite && !base.isDefault && (
              <button className="button" type="button" onClick={() => setDeleting(true)}>
                Delete…
              </button>
            )}
            <span className="apart" />
            {changed && (
              <button className="button" type="button" onClick={() => show(newest ?? base)}>
                Discard changes
              </button>
            )}
          </>
        }
      />
      {conflict !== null && (
        <ConflictDialog
          draft={draft}
          base={base}
          current={conflict}
          onClose={() => setConflict(null)}
          onChoose={(chosen, save) => void choose(conflict, chosen, save)}
        />
      )}
      {deleting && (
        <DeleteDialog
          model={newer ?? base}
          onClose={() => setDeleting(false)}
          onDeleted={(alias) => {
            toast(`“${alias}” was deleted.`);
            navigate("/models");
          }}
        />
      )}
    </ModelPage>
  );
}

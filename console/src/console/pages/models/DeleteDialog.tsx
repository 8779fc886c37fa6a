import { useState } from "react";
import { useMutation, useQuery } from "urql";
import { DeleteModelDocument, ModelUseDocument, type UseFragment } from "../../../gql/graphql";
import { Dialog } from "../../parts/Dialog";
import { Field } from "../../parts/Field";
import { Banner, Loading, messageOf } from "../../parts/states";
import { useMay } from "../../signed";
import type { Settings } from "./draft";

interface Props {
  model: Pick<Settings, "id" | "alias" | "version">;
  onClose: () => void;
  onDeleted: (alias: string) => void;
}

/** Lists who uses a model, and deletes it when its alias was typed. What is in use needs a second yes. */
export function DeleteDialog({ model, onClose, onDeleted }: Props) {
  const mayList = useMay("component:read");
  const [{ data, fetching, error }] = useQuery({
    query: ModelUseDocument,
    variables: { id: model.id },
    pause: !mayList,
    requestPolicy: "network-only",
  });
  const [{ fetching: deleting }, remove] = useMutation(DeleteModelDocument);
  const [typed, setTyped] = useState("");
  const [refusal, setRefusal] = useState<string | null>(null);
  const [inUse, setInUse] = useState<readonly UseFragment[] | null>(null);
  const users = inUse ?? data?.modelConfig?.components.edges.map(({ node }) => node) ?? null;

  async function submit(): Promise<void> {
    if (typed !== model.alias || deleting) return;
    const input = { id: model.id, expectedVersion: model.version, force: inUse !== null };
    const { data: done, error: failure } = await remove({ input });
    const result = done?.deleteModelConfig;
    if (failure !== undefined) setRefusal(messageOf(failure));
    else if (result?.__typename === "DeleteModelConfigPayload") onDeleted(result.alias);
    else if (result !== undefined) {
      setRefusal(result.message);
      if (result.__typename === "InUse") setInUse(result.components);
    }
  }

  return (
    <Dialog
      title={`Delete “${model.alias}”?`}
      onClose={onClose}
      onSubmit={() => void submit()}
      actions={
        <>
          <button className="button" type="button" onClick={onClose}>
            Cancel
          </button>
          <button className="button danger" type="submit" disabled={typed !== model.alias || deleting}>
            {inUse === null ? "Delete" : "Delete anyway"}
          </button>
        </>
      }
    >
      {fetching && <Loading what="who uses it" />}
      {error !== undefined && <Banner tone="danger">{messageOf(error)}</Banner>}
      {users !== null && <Users users={users} />}
      {refusal !== null && <Banner tone="danger">{refusal}</Banner>}
      <Field label={`Type “${model.alias}” to confirm`}>
        {(control) => (
          <input
            {...control}
            className="input"
            value={typed}
            autoComplete="off"
            spellCheck={false}
            onChange={(event) => setTyped(event.target.value)}
          />
        )}
      </Field>
      <p className="quiet">Its history goes with it, and its credentials. A model with the same alias later is another one.</p>
    </Dialog>
  );
}

function Users({ users }: { users: readonly UseFragment[] }) {
  if (users.length === 0) {
    return <p>No component uses it.</p>;
  }
  return (
    <div>
      <p>
        {users.length === 1 ? "This component uses it, and is" : "These components use it, and are"} left without a model:
      </p>
      <ul className="users">
        {users.map(({ component: { id, name, instanceId, online } }) => (
          <li key={id}>
            <strong>{name}</strong> <span className="quiet">{instanceId}</span>{" "}
            <span className={online ? "pill good" : "pill"}>{online ? "connected" : "offline"}</span>
          </li>
        ))}
      </ul>
    </div>
  );
}

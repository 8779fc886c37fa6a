import { useState } from "react";
import { useMutation } from "urql";
import { RollBackDocument } from "../../../gql/graphql";
import { Dialog } from "../../parts/Dialog";
import { Banner, Failure } from "../../parts/states";
import { useToast } from "../../parts/Toasts";
import type { FieldChange } from "./difference";
import { Differences } from "./Differences";

interface Props {
  model: { id: string; alias: string; version: number };
  toVersion: number;
  /** from the present version to what it will be; null when it is not known */
  changes: readonly FieldChange[] | null;
  onClose: () => void;
  onDone: () => void;
}

/** Shows what goes back before it does. */
export function RollBackDialog({ model, toVersion, changes, onClose, onDone }: Props) {
  const [{ fetching, error }, rollBack] = useMutation(RollBackDocument);
  const [problem, setProblem] = useState<string | null>(null);
  const toast = useToast();

  async function submit(): Promise<void> {
    const { data } = await rollBack({ input: { id: model.id, expectedVersion: model.version, toVersion } });
    const result = data?.rollbackModelConfig;
    if (result === undefined) return;
    if (result.__typename !== "RollbackModelConfigPayload") {
      setProblem(result.message);
      return;
    }
    toast(`“${model.alias}” is as it was at version ${toVersion}, as version ${result.modelConfig.version}.`);
    if (result.droppedCredentials) {
      toast("Its credentials were stored for another provider or address and are dropped: give it new ones.", "danger");
    }
    onDone();
    onClose();
  }

  return (
    <Dialog
      title={`Roll “${model.alias}” back to version ${toVersion}?`}
      onClose={onClose}
      onSubmit={() => void submit()}
      actions={
        <>
          <button className="button" type="button" onClick={onClose}>
            Cancel
          </button>
          <button className="button primary" type="submit" disabled={fetching}>
            Roll back
          </button>
        </>
      }
    >
      <p>
        It becomes version {model.version + 1}, and every component gets it. Today’s credentials stay if provider, kind
        of sign-in and host are the same, and are dropped otherwise; old ones never come back.
      </p>
      {changes !== null && <Differences changes={changes} />}
      {problem !== null && <Banner tone="danger">{problem}</Banner>}
      {error !== undefined && <Failure error={error} />}
    </Dialog>
  );
}

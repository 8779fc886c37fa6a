import { useState } from "react";
import { useMutation } from "urql";
import { RevokeApiKeyDocument, type KeyRowFragment } from "../../../gql/graphql";
import { Dialog } from "../../parts/Dialog";
import { Banner, Failure } from "../../parts/states";
import { useToast } from "../../parts/Toasts";

interface Props {
  apiKey: KeyRowFragment;
  onClose: () => void;
  onRevoked: () => void;
}

/** Asks before a key is made useless for ever; once more when it is the last one that can make keys. */
export function RevokeKeyDialog({ apiKey, onClose, onRevoked }: Props) {
  const [{ fetching, error }, revoke] = useMutation(RevokeApiKeyDocument);
  const [problem, setProblem] = useState<{ message: string; last: boolean } | null>(null);
  const toast = useToast();
  const force = problem?.last ?? false;

  async function submit(): Promise<void> {
    const { data } = await revoke({ input: { id: apiKey.id, force } });
    const result = data?.revokeApiKey;
    if (result === undefined) return;
    if (result.__typename === "RevokeApiKeyPayload") {
      toast(`The key “${apiKey.name}” is revoked. What was open with it is closed.`);
      onRevoked();
      onClose();
    } else {
      setProblem({ message: result.message, last: result.__typename === "LastAdminKey" });
    }
  }

  return (
    <Dialog
      title={`Revoke “${apiKey.name}”?`}
      onClose={onClose}
      onSubmit={() => void submit()}
      actions={
        <>
          <button className="button" type="button" onClick={onClose}>
            Cancel
          </button>
          <button className="button danger" type="submit" disabled={fetching}>
            {force ? "Revoke the last one all the same" : "Revoke"}
          </button>
        </>
      }
    >
      <p>
        It opens nothing any more, at once and for ever, on every server. Components that use it keep the configuration
        that they have, and get no change until they have another key.
      </p>
      {problem !== null && <Banner tone="danger">{problem.message}</Banner>}
      {error !== undefined && <Failure error={error} />}
    </Dialog>
  );
}

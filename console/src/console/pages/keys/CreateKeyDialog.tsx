import { useState } from "react";
import { useMutation } from "urql";
import { CreateApiKeyDocument } from "../../../gql/graphql";
import { Dialog } from "../../parts/Dialog";
import { Field } from "../../parts/Field";
import { Banner, Failure } from "../../parts/states";
import { useSigned } from "../../signed";
import { inputOf, SCOPES_OF_COMPONENTS, type Form } from "./form";
import { SecretOnce } from "./SecretOnce";

interface Props {
  onClose: () => void;
  onCreated: () => void;
}

/** Makes a key, and shows it this once. */
export function CreateKeyDialog({ onClose, onCreated }: Props) {
  const { viewer } = useSigned();
  const mine = SCOPES_OF_COMPONENTS.filter((scope) => viewer.scopes.includes(scope));
  const [form, setForm] = useState<Form>({ name: "", scopes: mine, aliases: "", expires: "" });
  const [{ data, fetching, error }, create] = useMutation(CreateApiKeyDocument);
  const result = data?.createApiKey;
  const refused = result?.__typename === "InvalidInput" ? result : null;
  const problem = (name: string) => (refused?.path?.includes(name) ? refused.message : null);
  const elsewhere = refused !== null && !["name", "scopes", "aliases", "expiresAt"].some((name) => problem(name));

  async function submit(): Promise<void> {
    const answer = await create({ input: inputOf(form) });
    if (answer.data?.createApiKey.__typename === "CreateApiKeyPayload") onCreated();
  }

  if (result?.__typename === "CreateApiKeyPayload") {
    return <SecretOnce name={form.name} secret={result.secret} onClose={onClose} />;
  }

  function toggle(scope: string): void {
    const scopes = form.scopes.includes(scope) ? form.scopes.filter((one) => one !== scope) : [...form.scopes, scope];
    setForm({ ...form, scopes });
  }

  return (
    <Dialog
      title="New API key"
      onClose={onClose}
      onSubmit={() => void submit()}
      actions={
        <>
          <button className="button" type="button" onClick={onClose}>
            Cancel
          </button>
          <button className="button primary" type="submit" disabled={fetching}>
            Create key
          </button>
        </>
      }
    >
      <Field label="Name" hint="What people call it, such as the component that gets it." error={problem("name")}>
        {(control) => (
          <input {...control} className="input" value={form.name} onChange={(e) => setForm({ ...form, name: e.target.value })} />
        )}
      </Field>
      <fieldset className="choices">
        <legend className="legend">Permits</legend>
        {viewer.scopes.map((scope) => (
          <label key={scope}>
            <input type="checkbox" checked={form.scopes.includes(scope)} onChange={() => toggle(scope)} />
            <code>{scope}</code>
          </label>
        ))}
        {problem("scopes") !== null && <p className="field-error">{problem("scopes")}</p>}
      </fieldset>
      <Field
        label="Aliases"
        optional
        hint="Separated by commas; * stands for any text, as in orders-*. Empty: all aliases."
        error={problem("aliases")}
      >
        {(control) => (
          <input {...control} className="input" value={form.aliases} onChange={(e) => setForm({ ...form, aliases: e.target.value })} />
        )}
      </Field>
      <Field label="Expires" optional hint="In your time zone. Empty: never." error={problem("expiresAt")}>
        {(control) => (
          <input
            {...control}
            className="input"
            type="datetime-local"
            value={form.expires}
            onChange={(e) => setForm({ ...form, expires: e.target.value })}
          />
        )}
      </Field>
      {elsewhere && <Banner tone="danger">{refused.message}</Banner>}
      {error !== undefined && <Failure error={error} />}
    </Dialog>
  );
}

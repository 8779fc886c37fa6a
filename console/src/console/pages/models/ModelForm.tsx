import { useState, type FormEvent, type ReactNode } from "react";
import { useMutation, useQuery } from "urql";
import { ProviderDetailsDocument, SupportedParamsDocument, TestModelDocument } from "../../../gql/graphql";
import { Field } from "../../parts/Field";
import { useLeaveWarning, useSettled } from "../../parts/hooks";
import { Banner, messageOf } from "../../parts/states";
import { useMay } from "../../signed";
import { AuthSection } from "./AuthSection";
import { authChanges, changesOf, isChanged, kindOf, testOf, type AuthKind, type Changes, type Draft, type Settings } from "./draft";
import { ParamsSection } from "./ParamsSection";
import { ProviderSection } from "./ProviderSection";
import { TestPanel, type TestResult } from "./TestPanel";

/** What the server says is wrong, and with which argument of its input. */
export interface Refusal {
  message: string;
  path: readonly string[] | null;
}

interface Props {
  draft: Draft;
  /** what is stored; null for a new config */
  base: Settings | null;
  onChange: (draft: Draft) => void;
  /** Writes the changes. Gives what the server refused; null when it did not. */
  onSave: (changes: Changes) => Promise<Refusal | null>;
  /** more buttons */
  actions?: ReactNode;
}

/** The settings of a model: what its provider and kind of auth need, a test, and a button that saves. */
export function ModelForm({ draft, base, onChange, onSave, actions }: Props) {
  const [refusal, setRefusal] = useState<Refusal | null>(null);
  const [saving, setSaving] = useState(false);
  const { test, testing, result, problem } = useTest(setRefusal);
  const mayTest = useMay("model_config:test");
  const mayWrite = useMay("model_config:write");
  const { changes, problems } = changesOf(draft, base);
  const wrong = Object.keys(problems).length > 0;
  const changed = isChanged(draft, base);
  const shown = { ...problems, ...placeOf(refusal) };
  const { needs, change } = useProvider(draft, base, (next) => {
    setRefusal(null);
    onChange(next);
  });
  const supported = useSupportedParams(draft);
  useLeaveWarning(changed && !saving);

  async function save(event: FormEvent): Promise<void> {
    event.preventDefault();
    setSaving(true);
    setRefusal(await onSave(changes));
    setSaving(false);
  }

  const foreign = base !== null && draft.provider !== (base.provider ?? "");
  return (
    <form className="model-form" onSubmit={(event) => void save(event)}>
      <fieldset className="card">
        <legend>Name</legend>
        <Field
          label="Alias"
          error={shown["alias"] ?? null}
          hint={base?.isDefault ? "The name of a default model stays." : "The name that components ask for."}
        >
          {(control) => (
            <input
              {...control}
              className="input"
              value={draft.alias}
              maxLength={100}
              required
              readOnly={base?.isDefault ?? false}
              autoComplete="off"
              spellCheck={false}
              onChange={(event) => change({ alias: event.target.value })}
            />
          )}
        </Field>
        <Field label="Description" error={shown["description"] ?? null} optional>
          {(control) => (
            <textarea
              {...control}
              className="input"
              rows={2}
              value={draft.description}
              onChange={(event) => change({ description: event.target.value })}
            />
          )}
        </Field>
      </fieldset>
      <ProviderSection draft={draft} needs={needs} using={usingOf(draft, base)} problems={shown} onChange={change} />
      <AuthSection
        auth={draft.auth}
        base={base}
        needs={needs}
        foreign={foreign && kindOf(base) !== "none"}
        problems={shown}
        onChange={(auth) => change({ auth })}
      />
      <ParamsSection
        draft={draft}
        sealed={base?.sealedParams ?? []}
        supported={supported}
        problems={shown}
        onChange={change}
      />
      <div className="form-end">
        {refusal !== null && <Banner tone="danger">{refusal.message}</Banner>}
        {problem !== null && <Banner tone="danger">{problem}</Banner>}
        <TestPanel testing={testing} result={result} />
        <div className="form-actions">
          {actions}
          {mayTest && (
            <button
              className="button"
              type="button"
              disabled={testing || wrong || draft.model === ""}
              onClick={() => void test(changes, base)}
            >
              {testing ? "Testing…" : "Test"}
            </button>
          )}
          {mayWrite && (
            <button className="button primary" type="submit" disabled={saving || wrong || !changed}>
              {base === null ? "Create" : "Save"}
            </button>
          )}
        </div>
      </div>
    </form>
  );
}

/** What the chosen provider needs, and a change of the draft that follows it. */
function useProvider(draft: Draft, base: Settings | null, onChange: (draft: Draft) => void) {
  const [{ data }] = useQuery({
    query: ProviderDetailsDocument,
    variables: { name: draft.provider },
    pause: draft.provider === "",
    requestPolicy: "cache-first",
  });
  const needs = data?.provider?.name === draft.provider ? data.provider : null;
  const [chosen, setChosen] = useState(false); // the kind of auth, by the user
  const [asked, setAsked] = useState(draft.provider);

  // Once it is known, the usual kind of a provider that was chosen just now.
  if (needs !== null && asked !== draft.provider) {
    setAsked(draft.provider);
    const kinds = needs.authTypes.map(({ inputName }) => inputName as AuthKind);
    const [usual = "none"] = kinds;
    const back = base !== null && draft.provider === base.provider;
    const kind = back ? kindOf(base) : usual;
    if ((!chosen || !kinds.includes(draft.auth.kind)) && kind !== draft.auth.kind) {
      onChange({ ...draft, auth: { ...draft.auth, kind, secrets: {} } });
    }
  }

  function change(patch: Partial<Draft>): void {
    if (patch.auth !== undefined && patch.auth.kind !== draft.auth.kind) setChosen(true);
    onChange({ ...draft, ...patch });
  }
  return { needs, change };
}

function useSupportedParams(draft: Draft): readonly string[] | null {
  const asked = useSettled({ name: draft.provider, model: draft.model });
  const [{ data }] = useQuery({
    query: SupportedParamsDocument,
    variables: asked,
    pause: asked.name === "" || asked.model === "",
    requestPolicy: "cache-first",
  });
  const current = asked.name === draft.provider && asked.model === draft.model;
  return current ? (data?.provider?.supportedParams ?? null) : null;
}

function useTest(onRefusal: (refusal: Refusal | null) => void) {
  const [{ fetching }, run] = useMutation(TestModelDocument);
  const [result, setResult] = useState<TestResult | null>(null);
  const [problem, setProblem] = useState<string | null>(null);

  async function test(changes: Changes, base: Settings | null): Promise<void> {
    onRefusal(null);
    setResult(null);
    setProblem(null);
    const { data, error } = await run({ input: testOf(changes, base) });
    if (error !== undefined) setProblem(messageOf(error));
    else if (data?.testModelConfig.__typename === "TestModelConfigPayload") setResult(data.testModelConfig);
    else if (data !== undefined) onRefusal(data.testModelConfig);
  }
  return { test, testing: fetching, result, problem };
}

/** The refusal at the field that it is about. */
function placeOf(refusal: Refusal | null): Record<string, string> {
  const [, field, name, part] = refusal?.path ?? [];
  if (refusal === null || field === undefined) return {};
  if (field === "auth") return { [part ?? name ?? "auth"]: refusal.message };
  return { [field === "params" && name !== undefined ? `params.${name}` : field]: refusal.message };
}

function usingOf(draft: Draft, base: Settings | null) {
  const auth = authChanges(draft.auth, base);
  return {
    ...(base !== null && draft.provider === base.provider && { modelConfig: base.id }),
    ...(draft.apiBase !== "" && { apiBase: draft.apiBase }),
    ...(auth !== undefined && { auth }),
  };
}

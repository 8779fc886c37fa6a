import { useId } from "react";
import { useQuery } from "urql";
import {
  ProviderModelNamesDocument,
  ProviderNamesDocument,
  type ProviderConnectionInput,
  type ProviderNeedsFragment,
} from "../../../gql/graphql";
import { Field } from "../../parts/Field";
import { useSettled } from "../../parts/hooks";
import { ProviderIcon } from "../../parts/ProviderIcon";
import { useMay } from "../../signed";
import type { Draft } from "./draft";

interface Props {
  draft: Draft;
  needs: ProviderNeedsFragment | null;
  /** where to ask the provider for its models, and with what */
  using: ProviderConnectionInput;
  problems: Readonly<Record<string, string>>;
  onChange: (patch: Partial<Draft>) => void;
}

/** Which model of which provider, and where calls go. */
export function ProviderSection({ draft, needs, using, problems, onChange }: Props) {
  const [{ data }] = useQuery({ query: ProviderNamesDocument, requestPolicy: "cache-first" });
  const providers = data?.providers ?? [];
  const known = draft.provider === "" || providers.some(({ name }) => name === draft.provider);
  const options = (common: boolean) =>
    providers
      .filter((provider) => provider.common === common)
      .map(({ name, title }) => (
        <option key={name} value={name}>
          {title}
        </option>
      ));
  return (
    <fieldset className="card">
      <legend>Model</legend>
      <Field
        label="Provider"
        error={problems["provider"] ?? null}
        hint={draft.provider === "" ? "Without one, it is found out from the model’s name, where that tells." : undefined}
      >
        {(control) => (
          <div className="with-icon">
            <ProviderIcon provider={draft.provider || null} />
            <select
              {...control}
              className="input"
              value={draft.provider}
              onChange={(event) => onChange({ provider: event.target.value })}
            >
              <option value="">Not chosen</option>
              {!known && <option value={draft.provider}>{draft.provider}</option>}
              <optgroup label="Common">{options(true)}</optgroup>
              <optgroup label="All others of LiteLLM">{options(false)}</optgroup>
            </select>
          </div>
        )}
      </Field>
      <ModelName draft={draft} using={using} error={problems["model"] ?? null} onChange={onChange} />
      <Field
        label="API base"
        error={problems["apiBase"] ?? null}
        optional={!needs?.apiBaseRequired}
        hint={
          needs?.apiBaseRequired
            ? `${needs.title} needs it: there is no address of its own.`
            : `Where calls go; nothing is the provider’s own${needs?.defaultApiBase ? `, ${needs.defaultApiBase}` : ""}.`
        }
      >
        {(control) => (
          <input
            {...control}
            className="input code"
            type="text"
            inputMode="url"
            placeholder={needs?.defaultApiBase ?? "https://"}
            value={draft.apiBase}
            spellCheck={false}
            onChange={(event) => onChange({ apiBase: event.target.value })}
          />
        )}
      </Field>
    </fieldset>
  );
}

interface ModelNameProps {
  draft: Draft;
  using: ProviderConnectionInput;
  error: string | null;
  onChange: (patch: Partial<Draft>) => void;
}

function ModelName({ draft, using, error, onChange }: ModelNameProps) {
  const list = useId();
  const may = useMay("model_config:test");
  const asked = useSettled({ name: draft.provider, using }, 700);
  const [{ data, fetching }] = useQuery({
    query: ProviderModelNamesDocument,
    variables: asked,
    pause: asked.name === "" || !may,
    requestPolicy: "cache-first",
  });
  const models = asked.name === draft.provider ? (data?.provider?.models ?? null) : null;
  const said =
    models === null
      ? fetching && "Asking the provider for its models…"
      : `${models.models.length} models, as ${models.source === "PROVIDER" ? "the provider lists them" : "LiteLLM knows them"}` +
        (models.message ? `: ${models.message}` : ".");
  return (
    <Field label="Model" error={error} hint={said || "The provider’s name of it, such as gpt-4o."}>
      {(control) => (
        <>
          <input
            {...control}
            className="input code"
            list={list}
            value={draft.model}
            autoComplete="off"
            spellCheck={false}
            onChange={(event) => onChange({ model: event.target.value })}
          />
          <datalist id={list}>
            {models?.models.map(({ name }) => (
              <option key={name} value={name} />
            ))}
          </datalist>
        </>
      )}
    </Field>
  );
}

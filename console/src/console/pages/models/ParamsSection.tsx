import { useId } from "react";
import { Field } from "../../parts/Field";
import { CloseIcon, PlusIcon } from "../../parts/icons";
import { SecretField } from "../../parts/SecretField";
import { paramRow, type Draft, type ParamRow } from "./draft";

interface Props {
  draft: Draft;
  sealed: readonly string[];
  /** what LiteLLM takes for this model; null when it cannot tell */
  supported: readonly string[] | null;
  problems: Readonly<Record<string, string>>;
  onChange: (patch: Partial<Draft>) => void;
}

/** Keyword arguments of each call, those that hold secrets among them, and the limit of tokens. */
export function ParamsSection({ draft, sealed, supported, problems, onChange }: Props) {
  const names = useId();
  const set = (row: ParamRow) => onChange({ params: draft.params.map((other) => (other.key === row.key ? row : other)) });
  return (
    <fieldset className="card">
      <legend>Parameters</legend>
      <datalist id={names}>
        {supported?.map((name) => (
          <option key={name} value={name} />
        ))}
      </datalist>
      {draft.params.map((row) => (
        <ParamFields
          key={row.key}
          row={row}
          names={names}
          problem={problems[`params.${row.name}`] ?? (row.name === "" ? problems["params"] : undefined)}
          unsupported={row.name !== "" && supported !== null && !supported.includes(row.name)}
          model={draft.model}
          onChange={set}
          onRemove={() => onChange({ params: draft.params.filter(({ key }) => key !== row.key) })}
        />
      ))}
      <div>
        <button
          className="button small"
          type="button"
          onClick={() => onChange({ params: [...draft.params, paramRow()] })}
        >
          <PlusIcon /> Add a parameter
        </button>
      </div>
      {sealed.map((name) => (
        <SecretField
          key={name}
          label={name}
          hint="JSON, or a text. It is sealed, because it can hold a secret."
          error={problems[`params.${name}`] ?? null}
          stored="stored, sealed"
          value={draft.sealed[name] ?? { choice: "keep" }}
          onChange={(value) => onChange({ sealed: { ...draft.sealed, [name]: value } })}
        />
      ))}
      <Field
        label="Most input tokens"
        hint="The most that a call may send; nothing leaves it to LiteLLM."
        error={problems["maxInputTokens"] ?? null}
        optional
      >
        {(control) => (
          <input
            {...control}
            className="input"
            inputMode="numeric"
            value={draft.maxInputTokens}
            onChange={(event) => onChange({ maxInputTokens: event.target.value })}
          />
        )}
      </Field>
    </fieldset>
  );
}

interface RowProps {
  row: ParamRow;
  names: string;
  problem: string | undefined;
  unsupported: boolean;
  model: string;
  onChange: (row: ParamRow) => void;
  onRemove: () => void;
}

function ParamFields({ row, names, problem, unsupported, model, onChange, onRemove }: RowProps) {
  const id = useId();
  const described = problem !== undefined || unsupported ? id : undefined;
  return (
    <div className="param">
      <input
        className="input code"
        aria-label="Parameter"
        placeholder="temperature"
        list={names}
        value={row.name}
        spellCheck={false}
        aria-invalid={problem !== undefined}
        aria-describedby={described}
        onChange={(event) => onChange({ ...row, name: event.target.value })}
      />
      <input
        className="input code"
        aria-label={`Value of ${row.name || "the parameter"}`}
        placeholder="0.2"
        value={row.value}
        spellCheck={false}
        onChange={(event) => onChange({ ...row, value: event.target.value })}
      />
      <button className="button plain" type="button" aria-label={`Remove ${row.name || "the parameter"}`} onClick={onRemove}>
        <CloseIcon />
      </button>
      {problem !== undefined && (
        <p id={id} className="field-error">
          {problem}
        </p>
      )}
      {problem === undefined && unsupported && (
        <p id={id} className="field-warning">
          LiteLLM does not know that {model} takes {row.name}. Calls may fail, or go without it.
        </p>
      )}
    </div>
  );
}

import type { ReactNode } from "react";
import { Field } from "./Field";

/** What becomes of a secret: its value is never shown, so it stays, goes, or is replaced by what is typed. */
export type SecretChoice = { choice: "keep" } | { choice: "clear" } | { choice: "replace"; value: string };

interface Props {
  label: string;
  hint?: ReactNode;
  error?: string | null;
  /** what is stored, in words that do not tell it; null when nothing is */
  stored: string | null;
  value: SecretChoice;
  onChange: (value: SecretChoice) => void;
  /** whether it is longer than a line */
  long?: boolean;
}

const CHOICES = { keep: "Keep", replace: "Replace", clear: "Clear" } as const;

/** A secret, which can be kept, replaced or cleared, and never be seen. */
export function SecretField({ label, hint, error = null, stored, value, onChange, long = false }: Props) {
  const typed = value.choice === "replace" ? value.value : "";
  const write = (text: string) => onChange(stored === null && text === "" ? { choice: "keep" } : { choice: "replace", value: text });
  const input = (
    <Field label={stored === null ? label : `New ${label}`} hint={hint} error={error}>
      {(control) =>
        long ? (
          <textarea
            {...control}
            className="input code"
            rows={4}
            value={typed}
            spellCheck={false}
            onChange={(event) => write(event.target.value)}
          />
        ) : (
          <input
            {...control}
            className="input code"
            type="password"
            value={typed}
            autoComplete="off"
            spellCheck={false}
            onChange={(event) => write(event.target.value)}
          />
        )
      }
    </Field>
  );
  if (stored === null) {
    return input;
  }
  return (
    <fieldset className="secret">
      <legend>
        {label} <span className="quiet">{stored}</span>
      </legend>
      <div className="choices">
        {(["keep", "replace", "clear"] as const).map((choice) => (
          <label key={choice}>
            <input
              type="radio"
              checked={value.choice === choice}
              onChange={() => onChange(choice === "replace" ? { choice, value: "" } : { choice })}
            />
            {CHOICES[choice]}
          </label>
        ))}
      </div>
      {value.choice === "replace" && input}
    </fieldset>
  );
}

import { useId, type ReactNode } from "react";

export interface ControlProps {
  id: string;
  "aria-describedby": string | undefined;
  "aria-invalid": boolean;
}

interface Props {
  label: string;
  /** what it means, below the control */
  hint?: ReactNode;
  /** what is wrong with it; null when nothing is */
  error?: string | null;
  optional?: boolean;
  /** The control: spread the properties into it. */
  children: (control: ControlProps) => ReactNode;
}

/** A labelled control of a form, with its hint and its error. */
export function Field({ label, hint, error = null, optional = false, children }: Props) {
  const id = useId();
  const described = [hint && `${id}-hint`, error !== null && `${id}-error`].filter(Boolean).join(" ");
  return (
    <div className="field">
      <label htmlFor={id}>
        {label}
        {optional && <span className="quiet"> optional</span>}
      </label>
      {children({ id, "aria-describedby": described || undefined, "aria-invalid": error !== null })}
      {error !== null && (
        <p id={`${id}-error`} className="field-error">
          {error}
        </p>
      )}
      {hint && (
        <p id={`${id}-hint`} className="quiet">
          {hint}
        </p>
      )}
    </div>
  );
}

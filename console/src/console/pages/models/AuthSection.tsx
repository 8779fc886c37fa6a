import type { ChangeEvent } from "react";
import type { ProviderNeedsFragment } from "../../../gql/graphql";
import { Field } from "../../parts/Field";
import { labelOf } from "../../parts/labels";
import { SecretField } from "../../parts/SecretField";
import { kindOf, secretText, storedSecret, type AuthDraft, type AuthKind, type Settings } from "./draft";

interface Props {
  auth: AuthDraft;
  base: Settings | null;
  /** null while no provider is chosen */
  needs: ProviderNeedsFragment | null;
  /** whether what is stored was stored for another provider, and is dropped */
  foreign: boolean;
  problems: Readonly<Record<string, string>>;
  onChange: (auth: AuthDraft) => void;
}

const TITLES: Record<AuthKind, string> = {
  none: "None, or those of the component’s environment",
  apiKey: "API key",
  oauth2ClientCredentials: "OAuth2 client credentials",
  awsIam: "AWS credentials",
  gcpServiceAccount: "Google Cloud service account",
};

export const titleOfKind = (kind: AuthKind): string => TITLES[kind];

/** How calls are signed: the kinds that the provider takes, and the fields that the chosen one has. */
export function AuthSection({ auth, base, needs, foreign, problems, onChange }: Props) {
  const offered = needs?.authTypes.map(({ inputName }) => inputName as AuthKind) ?? [];
  const kinds = offered.includes(auth.kind) ? offered : [auth.kind, ...offered];
  const fields = needs?.authTypes.find(({ inputName }) => inputName === auth.kind)?.fields ?? [];
  const kept = auth.kind === kindOf(base) && !foreign;
  return (
    <fieldset className="card">
      <legend>Credentials</legend>
      <Field label="Kind" hint={foreign ? "What is stored was for another provider and is dropped: give it anew." : undefined}>
        {(control) => (
          <select
            {...control}
            className="input"
            value={auth.kind}
            onChange={(event) => onChange({ ...auth, kind: event.target.value as AuthKind, secrets: {} })}
          >
            {kinds.map((kind) => (
              <option key={kind} value={kind}>
                {TITLES[kind]}
              </option>
            ))}
          </select>
        )}
      </Field>
      {fields.map(({ name, description, required, secret }) => {
        const stored = kept ? storedSecret(base, name) : null;
        const label = labelOf(name);
        return secret ? (
          <SecretField
            key={name}
            label={label}
            hint={description}
            error={problems[name] ?? null}
            stored={stored === null ? null : secretText(stored)}
            value={auth.secrets[name] ?? { choice: "keep" }}
            onChange={(value) => onChange({ ...auth, secrets: { ...auth.secrets, [name]: value } })}
            long={name.endsWith("Json")}
          />
        ) : (
          <Field key={name} label={label} hint={description} error={problems[name] ?? null} optional={!required}>
            {(control) => {
              const shared = {
                ...control,
                value: auth.values[name] ?? "",
                spellCheck: false,
                onChange: (event: ChangeEvent<HTMLInputElement | HTMLTextAreaElement>) =>
                  onChange({ ...auth, values: { ...auth.values, [name]: event.target.value } }),
              };
              // A control of one line takes the line breaks out of what is pasted, and PEM text is none without them.
              return name === "caCert" ? (
                <textarea {...shared} className="input code" rows={4} />
              ) : (
                <input {...shared} className="input" autoComplete="off" />
              );
            }}
          </Field>
        );
      })}
      {auth.kind !== "none" && (
        <p className="quiet">
          A secret may be a reference such as <code>os.environ/OPENAI_API_KEY</code>, which each component resolves from its
          own environment.
        </p>
      )}
    </fieldset>
  );
}

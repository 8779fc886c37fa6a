import { useId, useState, type FormEvent } from "react";
import { Logo } from "./Logo";
import type { Session } from "./session";

/** `why`: what went before, such as that a session has ended; null for nothing. */
export function SignIn({ session, why }: { session: Session; why: string | null }) {
  const [key, setKey] = useState("");
  const [checking, setChecking] = useState(false);
  const [refusal, setRefusal] = useState<string | null>(null);
  const id = useId();

  async function submit(event: FormEvent): Promise<void> {
    event.preventDefault();
    setChecking(true);
    setRefusal(null);
    try {
      await session.signIn(key);
    } catch (reason) {
      setRefusal(reason instanceof Error ? reason.message : String(reason));
      setChecking(false);
    }
  }

  const said = refusal ?? why;
  return (
    <main className="sign-in">
      <div>
        <h1>
          <Logo /> Modelwire
        </h1>
        <p className="quiet">Model configurations, live in every agent.</p>
        <form onSubmit={submit} aria-busy={checking}>
          <label htmlFor={id}>API key</label>
          <input
            id={id}
            className="input code"
            type="password"
            value={key}
            onChange={(event) => setKey(event.target.value)}
            placeholder="mw_…"
            autoComplete="off"
            spellCheck={false}
            autoFocus
            required
            aria-describedby={`${id}-help`}
            aria-invalid={refusal !== null}
          />
          {said !== null && (
            <p className="alert" role="alert">
              {said}
            </p>
          )}
          <button className="button primary" type="submit" disabled={checking}>
            {checking ? "Signing in…" : "Sign in"}
          </button>
          <p id={`${id}-help`} className="quiet">
            The administrator key was printed where the server was started for the first time. The key itself is not
            kept in this browser.
          </p>
        </form>
      </div>
    </main>
  );
}

import { useEffect, useState, type FormEvent } from "react";
import { signIn, type Session } from "./session";

interface Props {
  /** tried at once; from a sign-in link */
  initialKey: string | null;
  onSignedIn: (session: Session) => void;
}

export function SignIn({ initialKey, onSignedIn }: Props) {
  const [key, setKey] = useState("");
  const [checking, setChecking] = useState(initialKey !== null);
  const [error, setError] = useState<string | null>(null);

  async function check(apiKey: string): Promise<void> {
    setChecking(true);
    setError(null);
    try {
      onSignedIn(await signIn(apiKey));
    } catch (reason) {
      setError(reason instanceof Error ? reason.message : String(reason));
      setChecking(false);
    }
  }

  useEffect(() => {
    if (initialKey !== null) {
      void check(initialKey);
    }
    // A link's key is tried once.
  }, [initialKey]);

  function submit(event: FormEvent): void {
    event.preventDefault();
    void check(key);
  }

  return (
    <main className="sign-in">
      <h1>Modelwire</h1>
      <form onSubmit={submit} aria-busy={checking}>
        <label htmlFor="api-key">Paste an API key</label>
        <input
          id="api-key"
          className="field"
          type="password"
          value={key}
          onChange={(event) => setKey(event.target.value)}
          placeholder="mw_…"
          autoComplete="off"
          spellCheck={false}
          autoFocus
          required
          aria-describedby="api-key-help"
          aria-invalid={error !== null}
        />
        <button className="button primary" type="submit" disabled={checking}>
          {checking ? "Checking…" : "Connect"}
        </button>
        <p role="alert">{error}</p>
        <p id="api-key-help" className="quiet">
          The administrator key was printed where the server was started for the first time. The key stays in the memory
          of this page: a reload forgets it.
        </p>
      </form>
    </main>
  );
}

import { GraphiQL } from "graphiql";
import { useEffect, useMemo, useState } from "react";
import { takeKeyFromAddress, type Session } from "../shared/session";
import { SignIn } from "../shared/SignIn";
import { OPENING_TABS } from "./documents";
import { connect } from "./fetcher";
import { ForgetfulStorage } from "./storage";

const storage = new ForgetfulStorage();

export function App({ initialKey }: { initialKey: string | null }) {
  const [linkedKey, setLinkedKey] = useState(initialKey);
  const [session, setSession] = useState<Session | null>(null);

  useEffect(() => {
    // A sign-in link opened in a tab that has this page already changes the fragment and loads nothing.
    function takeKey(): void {
      const key = takeKeyFromAddress();
      if (key !== null) {
        setSession(null);
        setLinkedKey(key);
      }
    }
    window.addEventListener("hashchange", takeKey);
    return () => window.removeEventListener("hashchange", takeKey);
  }, []);

  function signOut(): void {
    setLinkedKey(null);
    setSession(null);
  }

  return session === null ? (
    <SignIn initialKey={linkedKey} onSignedIn={setSession} />
  ) : (
    <Explorer session={session} onSignOut={signOut} />
  );
}

function Explorer({ session, onSignOut }: { session: Session; onSignOut: () => void }) {
  const connection = useMemo(() => connect(session.apiKey), [session.apiKey]);
  useEffect(() => () => connection.close(), [connection]);

  return (
    <div className="explorer">
      <header>
        <strong>Modelwire</strong>
        <span role="status" title={session.viewer?.scopes.join(" ")}>
          {session.viewer === null ? "Connected" : `Connected as ${session.viewer.name}`}
        </span>
        <button className="button" type="button" onClick={onSignOut}>
          Use another key
        </button>
      </header>
      <GraphiQL
        fetcher={connection.fetcher}
        storage={storage}
        shouldPersistHeaders={false}
        defaultTabs={OPENING_TABS}
        defaultQuery=""
        inputValueDeprecation
        schemaDescription
      >
        <GraphiQL.Logo>GraphiQL</GraphiQL.Logo>
      </GraphiQL>
    </div>
  );
}

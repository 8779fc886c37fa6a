import { GraphiQL } from "graphiql";
import { useMemo } from "react";
import type { Signed } from "../shared/Gate";
import { Logo } from "../shared/Logo";
import { OPENING_TABS } from "./documents";
import { fetcher } from "./fetcher";
import { ForgetfulStorage } from "./storage";

const storage = new ForgetfulStorage();

export function Explorer({ session, connection, viewer }: Signed) {
  const fetching = useMemo(() => fetcher(connection), [connection]);
  return (
    <div className="explorer">
      <header>
        <a href="./" aria-label="Modelwire console">
          <Logo /> Modelwire
        </a>
        <span role="status" title={viewer.scopes.join(" ")}>
          {session.authenticated ? `Signed in as ${viewer.name}` : "No authentication"}
        </span>
        {session.authenticated && (
          <button className="button small" type="button" onClick={() => void session.signOut().catch(alertOf)}>
            Sign out
          </button>
        )}
      </header>
      <GraphiQL
        fetcher={fetching}
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

function alertOf(reason: unknown): void {
  window.alert(`You are still signed in. ${reason instanceof Error ? reason.message : String(reason)}`);
}

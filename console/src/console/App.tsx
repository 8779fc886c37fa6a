import { useState } from "react";
import { Provider } from "urql";
import { Redirect, Route, Router, Switch } from "wouter";
import { useHashLocation } from "wouter/use-hash-location";
import type { Signed } from "../shared/Gate";
import { clientOf } from "./client";
import { KeptContext } from "./kept";
import { PAGES } from "./pages";
import { Page } from "./parts/Page";
import { Empty } from "./parts/states";
import { Toasts } from "./parts/Toasts";
import { Shell } from "./Shell";
import { SignedContext } from "./signed";

export function App(signed: Signed) {
  const [client] = useState(() => clientOf(signed.connection));
  const [kept] = useState(() => new Map<string, unknown>());
  const home = PAGES.find(({ scope }) => signed.viewer.scopes.includes(scope)) ?? PAGES[0];
  return (
    <SignedContext value={signed}>
      <KeptContext value={kept}>
        <Provider value={client}>
          <Router hook={useHashLocation}>
            <Toasts>
              <Shell>
                <Switch>
                  {PAGES.flatMap(({ routes }) => routes).map(({ path, component }) => (
                    <Route key={path} path={path} component={component} />
                  ))}
                  <Route path="/">
                    <Redirect to={home.path} replace />
                  </Route>
                  <Route>
                    <Page title="Not found">
                      <Empty title="There is nothing at this address">Choose a page in the navigation.</Empty>
                    </Page>
                  </Route>
                </Switch>
              </Shell>
            </Toasts>
          </Router>
        </Provider>
      </KeptContext>
    </SignedContext>
  );
}

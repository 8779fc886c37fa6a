import { useEffect, useRef, useState, useSyncExternalStore, type ReactNode } from "react";
import { Connection } from "./connection";
import { takeKeyFromAddress, type Session, type Viewer } from "./session";
import { SignIn } from "./SignIn";

export interface Signed {
  session: Session;
  connection: Connection;
  viewer: Viewer;
}

interface Props {
  session: Session;
  /** The page of somebody who is signed in. */
  children: (signed: Signed) => ReactNode;
}

/**
 * Shows the page to those who are signed in, and the sign-in form to others. When a session ends by itself, the page
 * waits behind the form, with all that was typed into it, for the same person.
 */
export function Gate({ session, children }: Props) {
  const state = useSyncExternalStore(session.listen, () => session.state);

  useEffect(() => {
    // A sign-in link opened in a tab that has this page already changes the fragment and loads nothing.
    function takeKey(): void {
      const key = takeKeyFromAddress();
      if (key !== null) void session.start(key);
    }
    window.addEventListener("hashchange", takeKey);
    return () => window.removeEventListener("hashchange", takeKey);
  }, [session]);

  if (state.phase === "starting") {
    return state.problem && <p className="starting alert" role="alert">{`${state.problem} Trying again…`}</p>;
  }
  if (state.phase === "signedOut") {
    return <SignIn session={session} why={state.why} />;
  }
  const ended = state.phase === "ended";
  return (
    <>
      <div className="workspace" hidden={ended}>
        <Workspace key={state.identity} session={session} viewer={state.viewer} identity={state.identity}>
          {children}
        </Workspace>
      </div>
      {ended && <SignInAbove session={session} why={state.why} />}
    </>
  );
}

/** Above all that is open, dialogs too, which would let nothing else be used. It does not close by itself. */
function SignInAbove({ session, why }: { session: Session; why: string }) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.showModal(), []);
  return (
    <dialog
      ref={dialog}
      className="sign-in-above"
      aria-label="Sign in"
      onCancel={(event) => event.preventDefault()}
      onClose={() => dialog.current?.showModal()}
    >
      <SignIn session={session} why={why} />
    </dialog>
  );
}

function Workspace({ session, viewer, identity, children }: Props & { viewer: Viewer; identity: number }) {
  const [connection] = useState(() => new Connection(session, identity));
  useEffect(() => () => connection.close(), [connection]);
  return children({ session, connection, viewer });
}

import { useRef, useState, useSyncExternalStore, type ReactNode } from "react";
import { Link, useLocation } from "wouter";
import { Logo } from "../shared/Logo";
import { chooseTheme, shownTheme } from "../shared/theme";
import { PAGES } from "./pages";
import { ExplorerIcon, MoonIcon, SignOutIcon, SunIcon } from "./parts/icons";
import { useToast } from "./parts/Toasts";
import { useSigned } from "./signed";

/** What is around every page: navigation, who is signed in, the theme, the state of the connection. */
export function Shell({ children }: { children: ReactNode }) {
  const main = useRef<HTMLElement>(null);
  const { viewer } = useSigned();
  const [location] = useLocation();
  return (
    <div className="shell">
      <button className="skip button" type="button" onClick={() => main.current?.focus()}>
        Skip to content
      </button>
      <header className="top">
        <Link className="brand" href={PAGES[0].path}>
          <Logo /> Modelwire
        </Link>
        <Account />
      </header>
      <nav className="navigation" aria-label="Pages">
        {PAGES.filter(({ scope }) => viewer.scopes.includes(scope)).map(({ path, name, icon }) => (
          <Link key={path} href={path} aria-current={location.startsWith(path) ? "page" : undefined}>
            {icon}
            {name}
          </Link>
        ))}
        <a href="./graphiql">
          <ExplorerIcon />
          GraphiQL
        </a>
      </nav>
      <main ref={main} tabIndex={-1}>
        <LinkNotice />
        {children}
      </main>
    </div>
  );
}

function Account() {
  const { session, viewer } = useSigned();
  const toast = useToast();
  const [theme, setTheme] = useState(shownTheme);
  const other = theme === "dark" ? "light" : "dark";

  function change(): void {
    chooseTheme(other);
    setTheme(other);
  }

  function signOut(): void {
    session.signOut().catch((reason: Error) => toast(`You are still signed in. ${reason.message}`, "danger"));
  }

  return (
    <div className="account">
      <span className="who" title={viewer.subject}>
        {session.authenticated ? viewer.name : "No authentication"}
      </span>
      <button className="button plain" type="button" onClick={change} aria-label={`Use the ${other} theme`}>
        {theme === "dark" ? <SunIcon /> : <MoonIcon />}
      </button>
      {session.authenticated && (
        <button className="button plain" type="button" onClick={signOut} aria-label="Sign out">
          <SignOutIcon />
        </button>
      )}
    </div>
  );
}

/** Says when what is live is not, because the websocket is away. */
function LinkNotice() {
  const { connection } = useSigned();
  const link = useSyncExternalStore(connection.listen, () => connection.link);
  return (
    <p className="link-state" role="status">
      {link === "lost" && <span>The connection is lost. Trying to get it back; what you see may be old.</span>}
    </p>
  );
}

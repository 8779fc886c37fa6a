import type { ReactNode } from "react";
import { createRoot } from "react-dom/client";
import { Gate, type Signed } from "./Gate";
import { Session, takeKeyFromAddress } from "./session";
import { followTheme } from "./theme";

/** Puts a page that needs a session into `#root`. */
export function show(page: (signed: Signed) => ReactNode): void {
  const root = document.getElementById("root");
  if (root === null) {
    throw new Error("The page has no #root.");
  }
  followTheme();
  // The server says so in the page itself when it asks nobody who they are.
  const session = new Session(!("noAuth" in document.documentElement.dataset));
  void session.start(takeKeyFromAddress());
  createRoot(root).render(<Gate session={session}>{page}</Gate>);
}

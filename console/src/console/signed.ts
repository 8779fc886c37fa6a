import { createContext, use } from "react";
import type { Signed } from "../shared/Gate";

export const SignedContext = createContext<Signed | null>(null);

/** Who is signed in, and the way to the server. */
export function useSigned(): Signed {
  const signed = use(SignedContext);
  if (signed === null) {
    throw new Error("This is shown outside App.");
  }
  return signed;
}

/** Whether who is signed in has a scope, such as `model_config:write`. The server decides; this hides what it refuses. */
export function useMay(scope: string): boolean {
  return useSigned().viewer.scopes.includes(scope);
}

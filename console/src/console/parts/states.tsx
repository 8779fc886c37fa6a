import type { ReactNode } from "react";
import type { CombinedError } from "urql";
import { WarningIcon } from "./icons";

/** In place of a list that has nothing in it: why, and what to do. */
export function Empty({ title, children }: { title: string; children?: ReactNode }) {
  return (
    <div className="empty">
      <h2>{title}</h2>
      <div>{children}</div>
    </div>
  );
}

/** Where something will be. */
export function Loading({ what }: { what: string }) {
  return (
    <div className="loading" role="status">
      <span className="visually-hidden">Loading {what}…</span>
      <i />
      <i />
      <i />
    </div>
  );
}

/** What the server, or the way to it, said in place of an answer. */
export function Failure({ error, onRetry }: { error: CombinedError | Error; onRetry?: () => void }) {
  return (
    <Banner tone="danger">
      <p>{messageOf(error)}</p>
      {onRetry !== undefined && (
        <button className="button small" type="button" onClick={onRetry}>
          Try again
        </button>
      )}
    </Banner>
  );
}

/** A message across the page. `warn` and `danger` are read out at once. */
export function Banner({ tone, children }: { tone: "info" | "warn" | "danger" | "good"; children: ReactNode }) {
  return (
    <div className={`banner ${tone}`} role={tone === "danger" ? "alert" : undefined}>
      {(tone === "warn" || tone === "danger") && <WarningIcon />}
      <div>{children}</div>
    </div>
  );
}

/** What to show people of an error: the server's own sentences without the names of their classes. */
export function messageOf(error: CombinedError | Error): string {
  if ("graphQLErrors" in error) {
    return error.networkError?.message ?? error.graphQLErrors.map(({ message }) => message).join(" ");
  }
  return error.message;
}

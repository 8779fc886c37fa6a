import { useState } from "react";

export interface Paging {
  /** the cursor behind which the page begins; null for the first */
  after: string | null;
  /** counts from 1 */
  page: number;
  next: (endCursor: string) => void;
  previous: () => void;
}

/** The place in a list that is read page by page. Another `list` (search, order) begins at its first page. */
export function usePaging(list: string): Paging {
  const [place, setPlace] = useState<{ list: string; cursors: string[] }>({ list, cursors: [] });
  const cursors = place.list === list ? place.cursors : [];
  return {
    after: cursors.at(-1) ?? null,
    page: cursors.length + 1,
    next: (endCursor) => setPlace({ list, cursors: [...cursors, endCursor] }),
    previous: () => setPlace({ list, cursors: cursors.slice(0, -1) }),
  };
}

interface Props {
  paging: Paging;
  pageInfo: { hasNextPage: boolean; endCursor: string | null };
}

/** The way to the other pages; nothing when there is one page. */
export function Pager({ paging, pageInfo }: Props) {
  const { endCursor, hasNextPage } = pageInfo;
  if (paging.page === 1 && !hasNextPage) {
    return null;
  }
  return (
    <nav className="pager" aria-label="Pages of this list">
      <button className="button small" type="button" disabled={paging.page === 1} onClick={paging.previous}>
        Previous
      </button>
      <span className="quiet">Page {paging.page}</span>
      <button
        className="button small"
        type="button"
        disabled={!hasNextPage || endCursor === null}
        onClick={() => endCursor !== null && paging.next(endCursor)}
      >
        Next
      </button>
    </nav>
  );
}

import type { ReactNode } from "react";

export interface Sort<Order extends string = string> {
  field: Order;
  direction: "ASC" | "DESC";
}

export interface Column<Row, Order extends string = string> {
  title: string;
  cell: (row: Row) => ReactNode;
  /** what the server calls this order; absent when it has none */
  order?: Order;
  /** whether its last comes first when it is chosen, as of times */
  lastFirst?: boolean;
  /** left out where there is no space for it */
  wideOnly?: boolean;
}

interface Props<Row, Order extends string> {
  /** what the rows are, for screen readers */
  caption: string;
  columns: readonly Column<Row, Order>[];
  rows: readonly Row[];
  keyOf: (row: Row) => string;
  sort?: Sort<Order>;
  onSort?: (sort: Sort<Order>) => void;
  /** the keys of rows that changed just now */
  marked?: ReadonlySet<string>;
}

/** A list as a table. The server sorts; the headers of columns that have an order are buttons that ask for it. */
export function Table<Row, Order extends string = string>(props: Props<Row, Order>) {
  const { caption, columns, rows, keyOf, sort, onSort, marked } = props;
  return (
    <div className="table-frame">
      <table>
        <caption className="visually-hidden">{caption}</caption>
        <thead>
          <tr>
            {columns.map((column) => (
              <Header key={column.title} column={column} sort={sort} onSort={onSort} />
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={keyOf(row)} className={marked?.has(keyOf(row)) ? "changed" : undefined}>
              {columns.map(({ title, cell, wideOnly }) => (
                <td key={title} className={wideOnly ? "wide-only" : undefined}>
                  {cell(row)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Header<Row, Order extends string>({
  column: { title, order, lastFirst, wideOnly },
  sort,
  onSort,
}: {
  column: Column<Row, Order>;
  sort: Sort<Order> | undefined;
  onSort: ((sort: Sort<Order>) => void) | undefined;
}) {
  const className = wideOnly ? "wide-only" : undefined;
  if (order === undefined || onSort === undefined) {
    return (
      <th scope="col" className={className}>
        {title}
      </th>
    );
  }
  const direction = sort?.field === order ? sort.direction : null;
  const next = direction === null ? (lastFirst ? "DESC" : "ASC") : direction === "ASC" ? "DESC" : "ASC";
  return (
    <th
      scope="col"
      className={className}
      aria-sort={direction === null ? "none" : direction === "ASC" ? "ascending" : "descending"}
    >
      <button type="button" onClick={() => onSort({ field: order, direction: next })}>
        {title}
        <span aria-hidden="true">{direction === null ? "↕" : direction === "ASC" ? "↑" : "↓"}</span>
      </button>
    </th>
  );
}

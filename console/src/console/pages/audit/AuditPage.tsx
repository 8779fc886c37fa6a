import { useQuery } from "urql";
import { AuditLogDocument, type AuditLogQuery } from "../../../gql/graphql";
import { Page } from "../../parts/Page";
import { Pager, usePaging } from "../../parts/paging";
import { Empty, Failure, Loading } from "../../parts/states";
import { Table, type Column } from "../../parts/Table";
import { Time } from "../../parts/Time";
import { detailsText } from "./details";

type Entry = AuditLogQuery["auditLog"]["edges"][number]["node"];

const COLUMNS: Column<Entry>[] = [
  { title: "No.", cell: ({ sequence }) => <span className="number">{sequence}</span>, wideOnly: true },
  { title: "When", cell: ({ at }) => <Time at={at} /> },
  {
    title: "What",
    cell: ({ action, actor, details }) => (
      <>
        <span className={action === "access.denied" ? "pill danger" : "pill"}>{action}</span>
        <div className="quiet breakable">{detailsText(details)}</div>
        <div className="quiet breakable narrow-only">{actor}</div>
      </>
    ),
  },
  { title: "Who", cell: ({ actor }) => <span className="breakable">{actor}</span>, wideOnly: true },
  { title: "Hash", cell: ({ hash }) => <code title={hash}>{hash.slice(0, 12)}…</code>, wideOnly: true },
];

export function AuditPage() {
  const paging = usePaging("auditLog");
  const [{ data, error }, ask] = useQuery({ query: AuditLogDocument, variables: { after: paging.after } });
  const again = () => ask({ requestPolicy: "network-only" });
  const entries = data?.auditLog.edges.map(({ node }) => node) ?? [];
  return (
    <Page
      title="Audit"
      lead="Who did what, and who was denied, newest first. Each entry carries the hash of the one before it."
      actions={
        <button className="button" type="button" onClick={again}>
          Refresh
        </button>
      }
    >
      {error !== undefined && <Failure error={error} onRetry={again} />}
      {data === undefined && error === undefined && <Loading what="the audit log" />}
      {entries.length > 0 && (
        <Table caption="Audit log" columns={COLUMNS} rows={entries} keyOf={({ sequence }) => String(sequence)} />
      )}
      {data !== undefined && entries.length === 0 && <Empty title="Nothing was done yet" />}
      {data !== undefined && <Pager paging={paging} pageInfo={data.auditLog.pageInfo} />}
    </Page>
  );
}

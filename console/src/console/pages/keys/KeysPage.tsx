import { useState } from "react";
import { useQuery } from "urql";
import { ApiKeysDocument, type KeyRowFragment } from "../../../gql/graphql";
import { Page } from "../../parts/Page";
import { PlusIcon } from "../../parts/icons";
import { Pager, usePaging } from "../../parts/paging";
import { Empty, Failure, Loading } from "../../parts/states";
import { Table, type Column } from "../../parts/Table";
import { Time } from "../../parts/Time";
import { CreateKeyDialog } from "./CreateKeyDialog";
import { RevokeKeyDialog } from "./RevokeKeyDialog";

type Open = { kind: "create" } | { kind: "revoke"; key: KeyRowFragment } | null;

export function KeysPage() {
  const paging = usePaging("apiKeys");
  const [open, setOpen] = useState<Open>(null);
  const [{ data, error }, ask] = useQuery({ query: ApiKeysDocument, variables: { after: paging.after } });
  const again = () => ask({ requestPolicy: "network-only" });
  const keys = data?.apiKeys.edges.map(({ node }) => node) ?? [];

  const columns: Column<KeyRowFragment>[] = [
    ...COLUMNS,
    {
      title: "Action",
      cell: (key) =>
        stateOf(key) === "revoked" ? null : (
          <button className="button small" type="button" onClick={() => setOpen({ kind: "revoke", key })}>
            Revoke<span className="visually-hidden"> {key.name}</span>
          </button>
        ),
    },
  ];

  return (
    <Page
      title="Keys"
      lead="API keys of components, programs and people: what each permits, and when it was last used."
      actions={
        <button className="button primary" type="button" onClick={() => setOpen({ kind: "create" })}>
          <PlusIcon />
          New key
        </button>
      }
    >
      {error !== undefined && <Failure error={error} onRetry={again} />}
      {data === undefined && error === undefined && <Loading what="the keys" />}
      {keys.length > 0 && <Table caption="API keys" columns={columns} rows={keys} keyOf={({ id }) => id} />}
      {data !== undefined && keys.length === 0 && <Empty title="There are no keys that you may see" />}
      {data !== undefined && <Pager paging={paging} pageInfo={data.apiKeys.pageInfo} />}
      {open?.kind === "create" && <CreateKeyDialog onClose={() => setOpen(null)} onCreated={again} />}
      {open?.kind === "revoke" && <RevokeKeyDialog apiKey={open.key} onClose={() => setOpen(null)} onRevoked={again} />}
    </Page>
  );
}

function stateOf({ revokedAt, expiresAt }: KeyRowFragment): "revoked" | "expired" | "good" {
  if (revokedAt !== null) return "revoked";
  return expiresAt !== null && Date.parse(expiresAt) <= Date.now() ? "expired" : "good";
}

const COLUMNS: Column<KeyRowFragment>[] = [
  {
    title: "Name",
    cell: (key) => (
      <div className="named">
        <div>
          <strong>{key.name}</strong>
          {stateOf(key) !== "good" && <span className="pill danger">{stateOf(key)}</span>}
          <div className="quiet">
            <code>mw_{key.id}_…</code>
          </div>
        </div>
      </div>
    ),
  },
  {
    title: "Permits",
    cell: ({ scopes, aliases }) => (
      <>
        <div className="pills">
          {scopes.map((scope) => (
            <span key={scope} className="pill">
              {scope}
            </span>
          ))}
        </div>
        <div className="quiet breakable">{aliases === null ? "all aliases" : aliases.join(", ")}</div>
      </>
    ),
    wideOnly: true,
  },
  {
    title: "Last used",
    cell: ({ lastUsedAt }) => (lastUsedAt === null ? <span className="quiet">never</span> : <Time at={lastUsedAt} />),
  },
  {
    title: "Expires",
    cell: ({ expiresAt }) => (expiresAt === null ? <span className="quiet">never</span> : <Time at={expiresAt} />),
    wideOnly: true,
  },
  {
    title: "Made",
    cell: ({ createdAt, createdBy }) => (
      <>
        <Time at={createdAt} />
        <div className="quiet clipped">{createdBy}</div>
      </>
    ),
    wideOnly: true,
  },
];

import { useDeferredValue, useState } from "react";
import { useQuery } from "urql";
import { Link } from "wouter";
import { ModelListDocument, type ModelConfigOrderField, type ModelRowFragment } from "../../../gql/graphql";
import { useRefresh } from "../../parts/hooks";
import { PlusIcon } from "../../parts/icons";
import { Page } from "../../parts/Page";
import { Pager, usePaging } from "../../parts/paging";
import { Search } from "../../parts/Search";
import { Empty, Failure, Loading } from "../../parts/states";
import { Table, type Sort } from "../../parts/Table";
import { useMay } from "../../signed";
import { COLUMNS, ROLLOUT_COLUMN } from "./columns";
import { useMarks, useModelEvents, useRollouts, type Change, type LiveRollout } from "./live";
import { SetupBanner } from "./SetupBanner";

export function ModelsPage() {
  const [typed, setTyped] = useState("");
  const search = useDeferredValue(typed).trim();
  const [sort, setSort] = useState<Sort<ModelConfigOrderField>>({ field: "ALIAS", direction: "ASC" });
  const paging = usePaging(JSON.stringify([search, sort]));
  const withRollout = useMay("component:read");
  const mayWrite = useMay("model_config:write");
  const { marked, mark } = useMarks();
  const [news, setNews] = useState("");

  const [{ data, error, fetching, stale }, ask] = useQuery({
    query: ModelListDocument,
    variables: { after: paging.after, filter: search ? { search } : null, orderBy: sort, withRollout },
  });
  const again = useRefresh(fetching || stale, () => ask({ requestPolicy: "network-only" }));

  useModelEvents((event) => {
    again();
    if (event.__typename === "ModelConfigChange") {
      mark(event.put.map(({ id }) => id));
      setNews(newsOf(event));
    }
  });
  const rollouts = useRollouts();
  const rows = (data?.modelConfigs.edges ?? []).map(({ node }) => withNewest(node, rollouts.get(node.id)));

  return (
    <Page
      title="Models"
      lead="What each alias stands for, in every component that asks for it. Changes show as they are made."
      actions={
        mayWrite && (
          <Link className="button primary" href="/models/new">
            <PlusIcon /> New model
          </Link>
        )
      }
    >
      {data !== undefined && <SetupBanner missing={data.setupStatus.missing} />}
      <div className="tools">
        <Search label="Search models" value={typed} onChange={setTyped} />
      </div>
      {error !== undefined && <Failure error={error} onRetry={again} />}
      {data === undefined && error === undefined && <Loading what="models" />}
      {rows.length > 0 && (
        <Table<ModelRowFragment, ModelConfigOrderField>
          caption="Model configurations"
          columns={withRollout ? [...COLUMNS, ROLLOUT_COLUMN] : COLUMNS}
          rows={rows}
          keyOf={({ id }) => id}
          sort={sort}
          onSort={setSort}
          marked={marked}
        />
      )}
      {data !== undefined && rows.length === 0 && !stale && <NoModels search={search} />}
      {data !== undefined && <Pager paging={paging} pageInfo={data.modelConfigs.pageInfo} />}
      <p className="visually-hidden" role="status">
        {news}
      </p>
    </Page>
  );
}

/** A row with the rollout that was told last, when it is of the row's version. */
function withNewest(row: ModelRowFragment, told: LiveRollout | undefined): ModelRowFragment {
  return told !== undefined && told.version === row.version ? { ...row, rollout: told } : row;
}

function NoModels({ search }: { search: string }) {
  return search ? (
    <Empty title="No model matches">{`No alias, description or model contains “${search}”.`}</Empty>
  ) : (
    <Empty title="There are no models that you may see">Your API key may be bound to aliases that do not exist yet.</Empty>
  );
}

/** What happened, for those who do not see the marks. */
function newsOf({ put, removed }: Change): string {
  const changed = put.map(({ alias, version, updatedBy }) => `${alias} is at version ${version} by ${updatedBy}`);
  return [...changed, ...removed.map(({ alias }) => `${alias} was removed`)].join("; ");
}

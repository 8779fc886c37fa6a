import { useDeferredValue, useState } from "react";
import { useQuery } from "urql";
import { ModelListDocument, type ModelConfigOrderField, type ModelRowFragment } from "../../../gql/graphql";
import { Page } from "../../parts/Page";
import { Pager, usePaging } from "../../parts/paging";
import { Search } from "../../parts/Search";
import { Empty, Failure, Loading } from "../../parts/states";
import { Table, type Sort } from "../../parts/Table";
import { useMay } from "../../signed";
import { COLUMNS, ROLLOUT_COLUMN } from "./columns";
import { useMarks, useModelEvents, useWhileVisible, type Change } from "./live";
import { SetupBanner } from "./SetupBanner";

/** How often it is asked who runs what: more often while somebody has yet to speak. */
const POLL_MILLISECONDS = 5_000;
const POLL_PENDING_MILLISECONDS = 1_000;

export function ModelsPage() {
  const [typed, setTyped] = useState("");
  const search = useDeferredValue(typed).trim();
  const [sort, setSort] = useState<Sort<ModelConfigOrderField>>({ field: "ALIAS", direction: "ASC" });
  const paging = usePaging(JSON.stringify([search, sort]));
  const withRollout = useMay("component:read");
  const { marked, mark } = useMarks();
  const [news, setNews] = useState("");

  const [{ data, error, stale }, ask] = useQuery({
    query: ModelListDocument,
    variables: { after: paging.after, filter: search ? { search } : null, orderBy: sort, withRollout },
  });
  const again = () => ask({ requestPolicy: "network-only" });

  useModelEvents((event) => {
    again();
    if (event.__typename === "ModelConfigChange") {
      mark(event.put.map(({ id }) => id));
      setNews(newsOf(event));
    }
  });
  const rows = data?.modelConfigs.edges.map(({ node }) => node) ?? [];
  const pending = rows.some(({ rollout }) => (rollout?.pending ?? 0) > 0);
  useWhileVisible(again, pending ? POLL_PENDING_MILLISECONDS : POLL_MILLISECONDS);

  return (
    <Page title="Models" lead="What each alias stands for, in every component that asks for it. Changes show as they are made.">
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

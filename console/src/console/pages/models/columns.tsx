import { Link } from "wouter";
import type { ModelConfigOrderField, ModelRowFragment } from "../../../gql/graphql";
import { ProviderIcon } from "../../parts/ProviderIcon";
import { RolloutBar } from "../../parts/Rollout";
import type { Column } from "../../parts/Table";
import { Time } from "../../parts/Time";

type ModelColumn = Column<ModelRowFragment, ModelConfigOrderField>;

export const COLUMNS: ModelColumn[] = [
  {
    title: "Alias",
    order: "ALIAS",
    cell: ({ id, alias, provider, model, description, isDefault }) => (
      <div className="named">
        <ProviderIcon provider={provider} />
        <div>
          <Link href={`/models/${id}`}>{alias}</Link>
          {isDefault && <span className="pill">default</span>}
          {description && <div className="quiet clipped wide-only">{description}</div>}
          <div className="quiet breakable narrow-only">{model ?? "not configured"}</div>
        </div>
      </div>
    ),
  },
  {
    title: "Model",
    order: "PROVIDER",
    cell: ({ provider, model, configured }) =>
      configured ? (
        <>
          <div className="breakable">{model}</div>
          <div className="quiet">{provider}</div>
        </>
      ) : (
        <span className="pill warn">not configured</span>
      ),
    wideOnly: true,
  },
  { title: "Version", cell: ({ version }) => <span className="number">v{version}</span>, wideOnly: true },
  {
    title: "Changed",
    order: "UPDATED_AT",
    lastFirst: true,
    cell: ({ updatedAt, updatedBy }) => (
      <>
        <Time at={updatedAt} />
        <div className="quiet clipped">{updatedBy}</div>
      </>
    ),
    wideOnly: true,
  },
];

export const ROLLOUT_COLUMN: ModelColumn = {
  title: "Rollout",
  cell: ({ rollout }) => rollout && <RolloutBar counts={rollout} />,
};

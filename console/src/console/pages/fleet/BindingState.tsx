import type { FleetBindingFragment } from "../../../gql/graphql";

const TONES: Record<FleetBindingFragment["state"], string> = {
  APPLIED: "good",
  REFUSED: "danger",
  PENDING: "warn",
  OFFLINE: "",
  WAITING: "warn",
};

/** How a component stands to the current version, and why when it refused it. */
export function BindingState({ binding }: { binding: FleetBindingFragment }) {
  const { state, reason, message } = binding;
  return (
    <>
      <span className={`pill ${TONES[state]}`}>{state.toLowerCase()}</span>
      {state === "REFUSED" && (
        <div className="quiet breakable">{message ?? reason}</div>
      )}
    </>
  );
}

export const versionText = (version: number | null) => (version === null ? "–" : `v${version}`);

export interface RolloutCounts {
  applied: number;
  refused: number;
  pending: number;
  offline: number;
}

/** "37 of 40 applied, 1 refused": those that are not connected count as not applied. */
export function rolloutText({ applied, refused, pending, offline }: RolloutCounts): string {
  const all = applied + refused + pending + offline;
  if (all === 0) {
    return "Not in use";
  }
  const rest = [
    refused > 0 && `${refused} refused`,
    pending > 0 && `${pending} pending`,
    offline > 0 && `${offline} offline`,
  ].filter(Boolean);
  return [`${applied} of ${all} applied`, ...rest].join(", ");
}

/** How far a version has come, as a bar and in words. */
export function RolloutBar({ counts }: { counts: RolloutCounts }) {
  const parts = (["applied", "refused", "pending", "offline"] as const).map((kind) => ({ kind, count: counts[kind] }));
  const all = parts.reduce((sum, { count }) => sum + count, 0);
  if (all === 0) {
    return <span className="quiet unbroken">{rolloutText(counts)}</span>;
  }
  let x = 0;
  return (
    <div className="rollout">
      <svg viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true">
        {parts.map(({ kind, count }) => {
          const width = (count / all) * 100;
          x += width;
          return <rect key={kind} className={kind} x={x - width} width={width} height="6" />;
        })}
      </svg>
      <span className={counts.refused > 0 ? "refused" : undefined}>{rolloutText(counts)}</span>
    </div>
  );
}

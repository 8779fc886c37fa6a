import { durationText, quantile } from "./times";

const WIDTH = 640;
const HEIGHT = 180;
const LEFT = 44;
const BOTTOM = 26;
const TOP = 10;
const TICKS = 4;

/** How many components ran the version after how long: a step for each. `times`: seconds, in rising order, at least one. */
export function AppliedChart({ times }: { times: readonly number[] }) {
  const last = Math.max(times.at(-1) ?? 0, 0.001);
  const x = (seconds: number) => LEFT + (seconds / last) * (WIDTH - LEFT - 12);
  const y = (count: number) => TOP + (1 - count / times.length) * (HEIGHT - TOP - BOTTOM);
  const steps = times.map((seconds, index) => `H${x(seconds).toFixed(1)}V${y(index + 1).toFixed(1)}`).join("");
  const [half, most] = [quantile(times, 0.5) ?? 0, quantile(times, 0.99) ?? 0];
  const summary = `${times.length} components applied it: half within ${durationText(half)}, 99 % within ${durationText(most)}, the last after ${durationText(last)}.`;
  return (
    <figure className="chart">
      <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label={summary}>
        {[0, times.length].map((count) => (
          <g key={count}>
            <line className="grid" x1={LEFT} x2={WIDTH - 12} y1={y(count)} y2={y(count)} />
            <text x={LEFT - 8} y={y(count) + 4} textAnchor="end">
              {count}
            </text>
          </g>
        ))}
        {Array.from({ length: TICKS + 1 }, (_, tick) => (last * tick) / TICKS).map((seconds) => (
          <text key={seconds} x={x(seconds)} y={HEIGHT - 6} textAnchor={seconds === last ? "end" : "middle"}>
            {durationText(seconds)}
          </text>
        ))}
        <path className="curve" d={`M${LEFT} ${y(0)}${steps}`} />
        <line className="mark" x1={x(half)} x2={x(half)} y1={y(times.length)} y2={y(0)} />
      </svg>
      <figcaption className="quiet">{summary}</figcaption>
    </figure>
  );
}

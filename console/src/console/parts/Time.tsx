import { useEffect, useState } from "react";

const UNITS: [Intl.RelativeTimeFormatUnit, number][] = [
  ["year", 31_536_000],
  ["month", 2_592_000],
  ["day", 86_400],
  ["hour", 3_600],
  ["minute", 60],
];
const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
const exact = new Intl.DateTimeFormat("en", { dateStyle: "medium", timeStyle: "medium" });

/** How long ago, or ahead, `at` is at `now` (milliseconds since 1970). */
export function ago(at: string, now: number = Date.now()): string {
  const seconds = Math.round((Date.parse(at) - now) / 1_000);
  const unit = UNITS.find(([, length]) => Math.abs(seconds) >= length);
  return unit === undefined ? "just now" : relative.format(Math.round(seconds / unit[1]), unit[0]);
}

/** A moment, by how long ago it is; pointing at it shows the exact time. */
export function Time({ at }: { at: string }) {
  const [, setTicks] = useState(0);
  useEffect(() => {
    const timer = setInterval(() => setTicks((ticks) => ticks + 1), 30_000);
    return () => clearInterval(timer);
  }, []);
  return (
    <time dateTime={at} title={exact.format(new Date(at))}>
      {ago(at)}
    </time>
  );
}

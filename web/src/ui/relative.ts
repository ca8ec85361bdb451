const UNITS: [Intl.RelativeTimeFormatUnit, number][] = [
  ["year", 31_536_000],
  ["month", 2_592_000],
  ["day", 86_400],
  ["hour", 3_600],
  ["minute", 60],
];
const FORMAT = new Intl.RelativeTimeFormat(undefined, { numeric: "auto" });

/** A time in relation to now: "3 hours ago". */
export function relative(instant: Date, now: number): string {
  const seconds = (instant.getTime() - now) / 1000;
  for (const [unit, size] of UNITS) {
    if (Math.abs(seconds) >= size) return FORMAT.format(Math.trunc(seconds / size), unit);
  }
  return FORMAT.format(0, "second");
}

/** A time with its date and time zone, for people who need it exactly. */
export function absolute(instant: Date, timeZone: string | undefined): string {
  return instant.toLocaleString(undefined, { timeZone, dateStyle: "medium", timeStyle: "long" });
}

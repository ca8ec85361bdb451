// The state of an asset in one sentence.

import { type AssetDetail, versionNumber } from "./asset";

export interface StateSentence {
  /** One or two words, which also have a color. */
  state: string;
  /** What happened. A time and a run follow where `written` is set. */
  text: string;
  written: boolean;
  color: "teal" | "orange" | "red" | "gray";
}

const STALE_WORDS: Record<string, string> = { DATA: "has new data", CODE: "has new code", DEPENDENCIES: "has other inputs" };

export function stateSentence(asset: AssetDetail): StateSentence {
  const version = asset.data_version ? `version ${versionNumber(asset.data_version)}` : "";
  const written = Boolean(version);
  switch (asset.health) {
    case "RUNNING":
      return { state: "Running", text: asset.runs_in_progress.length ? "a run is producing it" : "its checks are running", written: false, color: "gray" };
    case "DEGRADED":
      return { state: "Failed", text: readable(asset.health_reasons), written: false, color: "red" };
    case "WARNING":
      return { state: "Warning", text: `${readable(asset.health_reasons)}; ${version}`, written, color: "orange" };
    case "UNCHECKED":
      return { state: "Unchecked", text: `${readable(asset.health_reasons)}; ${version}`, written, color: "orange" };
    case "STALE":
      return { state: "Stale", text: `${staleBecause(asset)}; ${version}`, written, color: "orange" };
    case "HEALTHY":
      return written ? { state: "Fresh", text: version, written, color: "teal" } : { state: "Observed", text: "another system writes it", written: false, color: "gray" };
    default:
      return asset.retired
        ? { state: "Retired", text: "it is no longer produced; its versions and history stay", written: false, color: "gray" }
        : { state: "Not made yet", text: "it has no version", written: false, color: "gray" };
  }
}

/** Why an asset is stale, with at most two causes. */
export function staleBecause(asset: AssetDetail): string {
  const causes = asset.staleness_causes.map((cause) => `${cause.dependency ?? cause.asset} ${STALE_WORDS[cause.category] ?? cause.reason}`);
  const unique = [...new Set(causes)];
  if (!unique.length) return "its inputs or its code changed";
  return unique.length > 2 ? `${unique.slice(0, 2).join(", ")}, and ${unique.length - 2} more` : unique.join(" and ");
}

function readable(reasons: string[]): string {
  return reasons.slice(0, 2).join("; ") + (reasons.length > 2 ? `; and ${reasons.length - 2} more` : "");
}

/** The state of a list entry in words. */
export const HEALTH_WORDS: Record<string, string> = {
  HEALTHY: "Healthy",
  STALE: "Stale",
  WARNING: "Warning",
  UNCHECKED: "Unchecked",
  RUNNING: "Running",
  DEGRADED: "Failed",
  UNKNOWN: "Not made",
};

export const CHECK_WORDS: Record<string, string> = { PASSED: "Passed", WARNED: "Warns", FAILED: "Failed", RUNNING: "Running", NOT_RUN: "Not run" };

/** The checks of an asset in words: "3 passed, 1 failed". */
export function checksInWords(counts: Record<string, number>): string {
  const words: Record<string, string> = { FAILED: "failed", WARNED: "warn", NOT_RUN: "not run", RUNNING: "running", PASSED: "passed" };
  return Object.entries(words).flatMap(([status, word]) => (counts[status] ? [`${counts[status]} ${word}`] : [])).join(", ");
}

/** An explanation with numbers instead of data versions, and with the beginning of digests. */
export function shortened(text: string): string {
  return text
    .replaceAll(/\b[0-9a-f]{8}-[0-9a-f-]{27}@(\d+)/g, (_, number: string, at: number) => (/version $/i.test(text.slice(0, at)) ? number : `version ${number}`))
    .replaceAll(/\b([0-9a-f]{12})[0-9a-f]{28,}\b/g, "$1");
}

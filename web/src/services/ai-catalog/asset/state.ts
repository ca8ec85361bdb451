// The state of an asset in one sentence.

import { t } from "../../../language/text";
import { type AssetDetail, versionNumber } from "./asset";

export interface StateSentence {
  /** One or two words, which also have a color. */
  state: string;
  /** What happened. A time and a run follow where `written` is set. */
  text: string;
  written: boolean;
  color: "teal" | "orange" | "red" | "gray";
}

const STALE_WORDS: Record<string, string> = { DATA: t("has new data"), CODE: t("has new code"), DEPENDENCIES: t("has other inputs") };

export function stateSentence(asset: AssetDetail): StateSentence {
  const version = asset.data_version ? t("version {data_version}", { data_version: versionNumber(asset.data_version) }) : "";
  const written = Boolean(version);
  switch (asset.health) {
    case "RUNNING":
      return { state: t("Running"), text: asset.runs_in_progress.length ? t("a run is producing it") : t("its checks are running"), written: false, color: "gray" };
    case "DEGRADED":
      return { state: t("Failed"), text: readable(asset.health_reasons), written: false, color: "red" };
    case "WARNING":
      return { state: t("Warning"), text: `${readable(asset.health_reasons)}; ${version}`, written, color: "orange" };
    case "UNCHECKED":
      return { state: t("Unchecked"), text: `${readable(asset.health_reasons)}; ${version}`, written, color: "orange" };
    case "STALE":
      return { state: t("Stale"), text: `${staleBecause(asset)}; ${version}`, written, color: "orange" };
    case "HEALTHY":
      return written ? { state: t("Fresh"), text: version, written, color: "teal" } : { state: t("Observed"), text: t("another system writes it"), written: false, color: "gray" };
    default:
      return asset.retired
        ? { state: t("Retired"), text: t("it is no longer produced; its versions and history stay"), written: false, color: "gray" }
        : { state: t("Not made yet"), text: t("it has no version"), written: false, color: "gray" };
  }
}

/** Why an asset is stale, with at most two causes. */
export function staleBecause(asset: AssetDetail): string {
  const causes = asset.staleness_causes.map((cause) => `${cause.dependency ?? cause.asset} ${STALE_WORDS[cause.category] ?? cause.reason}`);
  const unique = [...new Set(causes)];
  if (!unique.length) return t("its inputs or its code changed");
  return unique.length > 2 ? t("{unique}, and {count} more", { unique: unique.slice(0, 2).join(", "), count: unique.length - 2 }) : unique.join(" and ");
}

function readable(reasons: string[]): string {
  return reasons.slice(0, 2).join("; ") + (reasons.length > 2 ? t("; and {count} more", { count: reasons.length - 2 }) : "");
}

/** The state of a list entry in words. */
export const HEALTH_WORDS: Record<string, string> = {
  HEALTHY: t("Healthy"),
  STALE: t("Stale"),
  WARNING: t("Warning"),
  UNCHECKED: t("Unchecked"),
  RUNNING: t("Running"),
  DEGRADED: t("Failed"),
  UNKNOWN: t("Not made"),
};

export const CHECK_WORDS: Record<string, string> = { PASSED: t("Passed"), WARNED: t("Warns"), FAILED: t("Failed"), RUNNING: t("Running"), NOT_RUN: t("Not run") };

/** The checks of an asset in words: "3 passed, 1 failed". */
export function checksInWords(counts: Record<string, number>): string {
  const words: Record<string, string> = { FAILED: t("failed"), WARNED: t("warn"), NOT_RUN: t("not run"), RUNNING: t("running"), PASSED: t("passed") };
  return Object.entries(words).flatMap(([status, word]) => (counts[status] ? [`${counts[status]} ${word}`] : [])).join(", ");
}

/** An explanation with numbers instead of data versions, and with the beginning of digests. */
export function shortened(text: string): string {
  return text
    .replaceAll(/\b[0-9a-f]{8}-[0-9a-f-]{27}@(\d+)/g, (_, number: string, at: number) => (/version $/i.test(text.slice(0, at)) ? number : t("version {number}", { number })))
    .replaceAll(/\b([0-9a-f]{12})[0-9a-f]{28,}\b/g, "$1");
}

// What the address of an asset's page holds beside its id.

export interface AssetSearch {
  tab?: string;
  /** The version that is shown: a table version or a data version. */
  version?: string;
  /** The selected column. */
  column?: string;
  /** The versions that are compared, or the ends of a range. */
  from?: string;
  to?: string;
  /** The selected check. */
  check?: string;
  /** The operation whose progress is shown. */
  operation?: string;
  /** The state and a part of the keys of the partitions that are shown. Their range is from and to. */
  partition_state?: string;
  partition?: string;
}

const KEYS = ["tab", "version", "column", "from", "to", "check", "operation", "partition_state", "partition"] as const;

export function assetSearch(search: Record<string, unknown>): AssetSearch {
  return Object.fromEntries(KEYS.flatMap((key) => {
    const value = search[key];
    return typeof value === "string" || typeof value === "number" ? (value === "" ? [] : [[key, String(value)]]) : [];
  }));
}

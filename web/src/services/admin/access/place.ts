// Where a grant applies: the platform, an organization, a project, or one item.

export type Level = "platform" | "organization" | "project" | "item";

export interface Place {
  level: Level;
  id: string;
  /** Kind of an item, such as `ai_catalog.asset`. */
  kind: string;
}

const KINDS: Record<string, Level> = { platform: "platform", "admin.organization": "organization", "admin.project": "project" };

/** The place that an address names, by the id of something and its kind. */
export function placeFrom(id = "", kind = ""): Place {
  const known = KINDS[kind] ?? { platform: "platform" as const, org: "organization" as const, prj: "project" as const }[id.split("_")[0] ?? ""];
  return { level: known ?? (id ? "item" : "project"), id: known === "platform" ? "platform" : id, kind };
}

/** The place as requests name it. Only what is identified by its name needs its kind. */
export function placeOf(id: string, kind: string): { securable_id: string; securable_kind: string } {
  return { securable_id: id, securable_kind: KINDS[kind] ? "" : kind };
}

export function isComplete({ level, id, kind }: Place): boolean {
  return level === "platform" || Boolean(id && (level !== "item" || kind));
}

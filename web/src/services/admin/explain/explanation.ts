// Why a principal has a permission on something, or not.

export interface Considered {
  grant_id: string;
  effect: "ALLOW" | "DENY";
  path: string[];
  role: string | null;
  pattern: string;
  securable_id: string;
  securable_kind: string;
  condition: string | null;
  condition_met: boolean | null;
  expires_at: string | null;
  expired: boolean;
  holds: boolean;
  decides: boolean;
}

export interface Explanation {
  decision: { allowed: boolean; reason: Reason };
  detail: string;
  chain: { id: string; kind: string }[];
  grants: Considered[];
  hidden: boolean;
  names: Record<string, string>;
}

export type Reason = "GRANTED" | "DENIED" | "NO_GRANT" | "INACTIVE_PRINCIPAL" | "UNKNOWN";

/** The reason of a decision, without ids. */
export function sentence(found: Explanation, principal: string, permission: string, item: string): string {
  const deciding = found.grants.find((grant) => grant.decides);
  const through = deciding && deciding.path.length > 1 ? ` through the group ${name(found, deciding.path.at(-1) ?? "")}` : "";
  const at = deciding ? place(found, deciding.securable_id) : "";
  const right = deciding?.role ? `the role ${deciding.role}` : `the permission ${deciding?.pattern}`;
  switch (found.decision.reason) {
    case "GRANTED":
      return deciding ? `${principal} has ${permission} on ${item}: a grant of ${right} on ${at}${through}.` : `${principal} has ${permission} on ${item}, by a grant that you can't see.`;
    case "DENIED":
      return deciding ? `${principal} doesn't have ${permission} on ${item}: ${right} is denied on ${at}${through}, and a denial overrides every grant.` : `${principal} doesn't have ${permission} on ${item}: a grant that you can't see denies it.`;
    case "INACTIVE_PRINCIPAL":
      return `${principal} doesn't have ${permission} on ${item}: the account, or its organization, is suspended.`;
    case "UNKNOWN":
      return `${principal} doesn't have ${permission} on ${item}: there is nothing of this name that you can see.`;
    default:
      return found.grants.length
        ? `${principal} doesn't have ${permission} on ${item}: grants contain the permission, but none of them holds now.`
        : `${principal} doesn't have ${permission} on ${item}: no grant on it, or on a place above it, contains the permission.`;
  }
}

/** Why a grant has no effect. Empty if it has one. */
export function lapse(grant: Considered): string {
  if (grant.expired) return "Expired";
  return grant.condition_met === false ? "Its condition isn't met" : "";
}

export function name(found: Explanation, id: string): string {
  return found.names[id] ?? id;
}

export function place(found: Explanation, id: string): string {
  if (id === "platform") return "the platform";
  const kind = found.chain.find((one) => one.id === id)?.kind.split(".").at(-1)?.replaceAll("_", " ");
  return kind ? `the ${kind} ${name(found, id)}` : name(found, id);
}

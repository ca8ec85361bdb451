// Why a principal has a permission on something, or not.

import { t } from "../../../language/text";

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
  const through = deciding && deciding.path.length > 1 ? t(" through the group {found}", { found: name(found, deciding.path.at(-1) ?? "") }) : "";
  const at = deciding ? place(found, deciding.securable_id) : "";
  const right = deciding?.role ? t("the role {role}", { role: deciding.role }) : t("the permission {pattern}", { pattern: deciding?.pattern });
  switch (found.decision.reason) {
    case "GRANTED":
      return deciding ? t("{principal} has {permission} on {item}: a grant of {right} on {at}{through}.", { principal, permission, item, right, at, through }) : t("{principal} has {permission} on {item}, by a grant that you can't see.", { principal, permission, item });
    case "DENIED":
      return deciding ? t("{principal} doesn't have {permission} on {item}: {right} is denied on {at}{through}, and a denial overrides every grant.", { principal, permission, item, right, at, through }) : t("{principal} doesn't have {permission} on {item}: a grant that you can't see denies it.", { principal, permission, item });
    case "INACTIVE_PRINCIPAL":
      return t("{principal} doesn't have {permission} on {item}: the account, or its organization, is suspended.", { principal, permission, item });
    case "UNKNOWN":
      return t("{principal} doesn't have {permission} on {item}: there is nothing of this name that you can see.", { principal, permission, item });
    default:
      return found.grants.length
        ? t("{principal} doesn't have {permission} on {item}: grants contain the permission, but none of them holds now.", { principal, permission, item })
        : t("{principal} doesn't have {permission} on {item}: no grant on it, or on a place above it, contains the permission.", { principal, permission, item });
  }
}

/** Why a grant has no effect. Empty if it has one. */
export function lapse(grant: Considered): string {
  if (grant.expired) return t("Expired");
  return grant.condition_met === false ? t("Its condition isn't met") : "";
}

export function name(found: Explanation, id: string): string {
  return found.names[id] ?? id;
}

export function place(found: Explanation, id: string): string {
  if (id === "platform") return t("the platform");
  const kind = found.chain.find((one) => one.id === id)?.kind.split(".").at(-1)?.replaceAll("_", " ");
  return kind ? t("the {kind} {found}", { kind, found: name(found, id) }) : name(found, id);
}

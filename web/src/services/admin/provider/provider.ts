import { queryOptions } from "@tanstack/react-query";
import type { IdentityProvider, IdentityProviderTest } from "../../../api/generated/admin";
import { send } from "../../../api/http";
import { t } from "../../../language/text";

export const PATH = "/api/v1/admin/identity-providers";

export const providerQuery = (id: string) =>
  queryOptions({
    queryKey: ["item", "admin", "identity-providers", id],
    queryFn: ({ signal }) => send<IdentityProvider>("GET", `${PATH}/${encodeURIComponent(id)}`, { signal }),
    retry: false,
  });

export interface Step {
  name: string;
  /** Null if an earlier step failed, so that this one was not tried. */
  passed: boolean | null;
  detail: string;
}

/** The steps of a test, in the order of a login. */
export function steps(provider: IdentityProvider, found: IdentityProviderTest): Step[] {
  const discovered = found.authorization_endpoint !== null;
  const problem = found.problem ?? "";
  return [
    { name: t("The provider describes itself"), passed: discovered, detail: discovered ? t("Users log in at {authorization_endpoint}", { authorization_endpoint: found.authorization_endpoint }) : problem },
    { name: t("Its keys can be read"), passed: discovered ? found.keys > 0 : null, detail: !discovered ? t("Not tried") : found.keys > 0 ? `${found.keys} ${found.keys === 1 ? "key" : "keys"}` : problem },
    { name: t("The client secret is stored"), passed: provider.status.has_client_secret ?? false, detail: provider.status.has_client_secret ? t("The provider checks it at the first login") : t("Set the client secret that the provider issued") },
  ];
}

export interface Claimed {
  sub: string;
  name: string;
  email: string;
  groups: string[];
  roles: string[];
}

/** Claims as a token of the provider has them: those of groups and roles are where the mapping looks for them. */
export function claimsOf(entered: Claimed, groupsClaim: string, rolesClaim: string): Record<string, unknown> {
  const claims: Record<string, unknown> = { sub: entered.sub };
  if (entered.name) claims.preferred_username = entered.name;
  if (entered.email) Object.assign(claims, { email: entered.email, email_verified: true });
  if (entered.groups.length) put(claims, groupsClaim, entered.groups);
  if (entered.roles.length) put(claims, rolesClaim, entered.roles);
  return claims;
}

/** `a.b` is the field b of the claim a. */
function put(claims: Record<string, unknown>, path: string, value: unknown): void {
  const [first = "", ...rest] = path.split(".");
  if (!rest.length) claims[first] = value;
  else {
    const inner = (claims[first] ?? {}) as Record<string, unknown>;
    claims[first] = inner;
    put(inner, rest.join("."), value);
  }
}

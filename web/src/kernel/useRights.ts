import { useQuery } from "@tanstack/react-query";
import { allowed } from "../api/platform";
import { t } from "../language/text";

/** What a button for a permission gets: whether it is enabled, and why not. */
export function useRights(permissions: string[], securable: { id: string; kind: string } | null): (permission: string) => { disabled: boolean; title: string | undefined } {
  const { data: rights } = useQuery(allowed(permissions, securable));
  return (permission) => {
    const permitted = rights?.has(permission) ?? false;
    return { disabled: !permitted, title: rights && !permitted ? t("You need the permission {permission}.", { permission }) : undefined };
  };
}

import { queryOptions } from "@tanstack/react-query";
import type { PermissionCatalogue, PermissionEntry } from "../../../api/generated/admin";
import { get } from "../../../api/http";

/** All permissions of the platform. They change only with its version. */
export const permissions = queryOptions({
  queryKey: ["permissions"],
  queryFn: ({ signal }) => get<PermissionCatalogue>("/api/v1/admin/decisions:permissions", { signal }),
  staleTime: Number.POSITIVE_INFINITY,
});

/** Those that contain all words of a text in their name or in what they allow. */
export function matching(every: PermissionEntry[], text: string): PermissionEntry[] {
  const sought = text.toLowerCase().split(/\s+/).filter(Boolean);
  return every.filter(({ name, summary }) => sought.every((word) => `${name} ${summary}`.toLowerCase().includes(word)));
}

/** Permissions by service, in the order of their names. */
export function byService(every: PermissionEntry[]): [string, PermissionEntry[]][] {
  const of = new Map<string, PermissionEntry[]>();
  for (const one of every) of.set(one.service, [...(of.get(one.service) ?? []), one]);
  return [...of].sort(([one], [other]) => one.localeCompare(other));
}

// What a change of grants gives or takes, in words.

import type { Pair, PermissionEntry } from "../../../api/generated/admin";
import { words } from "../../../api/schema";

export interface Share {
  principal: string;
  permissions: number;
  /** What they can do, by kind: "Project: get, list". */
  kinds: { kind: string; verbs: string[] }[];
}

/** The pairs of each principal, those with the most first. */
export function shares(pairs: Pair[]): Share[] {
  const of = new Map<string, Set<string>>();
  for (const { principal_id, permission } of pairs) of.set(principal_id, (of.get(principal_id) ?? new Set()).add(permission));
  return [...of]
    .map(([principal, permissions]) => ({ principal, permissions: permissions.size, kinds: byKind([...permissions]) }))
    .sort((one, other) => other.permissions - one.permissions || one.principal.localeCompare(other.principal));
}

/** Permissions such as `admin.project.get`, by what they are on. */
export function byKind(permissions: string[]): { kind: string; verbs: string[] }[] {
  const of = new Map<string, string[]>();
  for (const permission of [...permissions].sort()) {
    const [service = "", kind = "", verb = ""] = permission.split(".");
    const name = `${service}.${kind}`;
    of.set(name, [...(of.get(name) ?? []), words(verb).toLowerCase()]);
  }
  return [...of].map(([name, verbs]) => ({ kind: words(name.split(".")[1] ?? name), verbs })).sort((one, other) => one.kind.localeCompare(other.kind));
}

/** Whether a pattern such as `ai_catalog.*` or `*.*.get` contains a permission, as the platform decides it. */
export function covers(pattern: string, permission: string): boolean {
  const parts = pattern.split(".");
  const named = permission.split(".");
  // A pattern of fewer parts ends with `*`, which stands for all that follows.
  return named.every((name, number) => {
    const part = parts[number] ?? (parts.at(-1) === "*" ? "*" : "");
    return part === "*" || part === name;
  });
}

const ORDER = ["VIEWER", "EDITOR", "ADMIN"];

/** What a role allows: a built-in one all permissions of its level and those below, others what their patterns name. */
export function allowedBy(role: { name: string; spec: { permissions?: string[]; denied?: string[] }; status: { built_in?: boolean } }, every: PermissionEntry[]): PermissionEntry[] {
  if (role.status.built_in) {
    const level = ORDER.indexOf(role.name.toUpperCase());
    return every.filter((one) => ORDER.indexOf(one.role) <= level);
  }
  const { permissions = [], denied = [] } = role.spec;
  return every.filter(({ name }) => permissions.some((one) => covers(one, name)) && !denied.some((one) => covers(one, name)));
}

// What a change of settings affects, in sentences.

import { words } from "../../../api/schema";
import { t } from "../../../language/text";
import { many } from "../../../ui/quantities";

export const SETTINGS = "/api/v1/admin/settings/platform";

const LABELS: Record<string, string> = {
  key_max_days: t("Longest life of an API key, in days"),
  mfa_required: t("Require a one-time password"),
  password_history: t("Former passwords that can't be used again"),
  password_max_days: t("Days until a password must change"),
  password_min_length: t("Shortest password, in characters"),
  session_hours: t("Hours until a session expires"),
  token_audiences: t("Systems that accept the platform's tokens"),
};

/** What a setting is called. */
export function label(name: string): string {
  return LABELS[name] ?? words(name);
}

export type Settings = Record<string, unknown>;

export interface Effect {
  settings: Settings;
  loosens: boolean;
  shortened_keys: number;
  expired_passwords: number;
  unenrolled_users: number;
}

export function effects(before: Settings, effect: Effect): string[] {
  const changed = Object.entries(effect.settings).filter(([name, value]) => JSON.stringify(value) !== JSON.stringify(before[name]));
  const lines = changed.map(([name, value]) => t("{name}: {name2} becomes {shown}.", { name: label(name), name2: shown(before[name]), shown: shown(value) }));
  const { shortened_keys, expired_passwords, unenrolled_users } = effect;
  const names = changed.map(([name]) => name);
  if (names.includes("key_max_days")) lines.push(shortened_keys ? t("{shortened_keys} earlier.", { shortened_keys: many(shortened_keys, t("API key expires"), t("API keys expire")) }) : t("No API key expires earlier."));
  if (names.includes("password_max_days")) lines.push(expired_passwords ? t("{expired_passwords} change the password at the next login.", { expired_passwords: many(expired_passwords, t("user must"), t("users must")) }) : t("No user must change the password now."));
  if (names.includes("mfa_required") && effect.settings.mfa_required) lines.push(unenrolled_users ? t("{unenrolled_users} set up a one-time password at the next login.", { unenrolled_users: many(unenrolled_users, t("user must"), t("users must")) }) : t("Every user has a one-time password."));
  return lines;
}

/** A value of a setting for people. */
export function shown(value: unknown): string {
  if (value === null || value === undefined) return t("not set");
  if (typeof value === "boolean") return value ? t("yes") : t("no");
  if (Array.isArray(value)) return value.length ? value.join(", ") : t("none");
  return String(value);
}

import { Skeleton, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { get } from "../../../api/http";
import { rich, t } from "../../../language/text";
import { Time } from "../../../ui/Time";
import { Trouble } from "../../../ui/Trouble";
import { Rows } from "../../../ui/Rows";

interface AccountState {
  login_name: string;
  last_login_at: string | null;
  has_password: boolean;
  password_changed_at: string | null;
  password_reset_required: boolean;
  has_one_time_password: boolean;
  password_reset: { requested_at: string; expires_at: string; mailed_at: string | null; mail_problem: string | null } | null;
}

/** How a user logs in. */
export function Account({ path, emails }: { path: string; emails: string[] }) {
  const account = useQuery({ queryKey: ["item", "admin", "users", path, "account"], queryFn: ({ signal }) => get<AccountState>(`${path}/account`, { signal }), retry: false });
  if (account.error) return <Trouble error={account.error} retry={() => account.refetch()} />;
  if (!account.data) return <Skeleton height={160} />;
  const { login_name, last_login_at, has_password, password_changed_at, password_reset_required, has_one_time_password, password_reset } = account.data;
  const rows: [string, ReactNode][] = [
    [t("Login name"), login_name],
    [t("Last login"), last_login_at ? <Time key="time" value={last_login_at} /> : t("Never")],
    [t("Addresses"), emails.join(", ") || t("None")],
    [t("Password"), has_password ? <Text key="set" span size="sm">{rich("Set{password_changed_at}{password_reset_required}", { password_changed_at: password_changed_at && <> <Time value={password_changed_at} /></>, password_reset_required: password_reset_required && t(". The user must set a new one at the next login") })}</Text> : t("None. The user logs in through an identity provider, or can't log in")],
    [t("One-time password"), has_one_time_password ? t("Required at each login") : t("Not set up")],
  ];
  if (password_reset) rows.push([t("Link to reset the password"), <Text key="reset" span size="sm">{rich("Requested {time}{mail_problem}", { time: <Time value={password_reset.requested_at} />, mail_problem: password_reset.mail_problem && `. ${password_reset.mail_problem}` })}</Text>]);
  return <Rows label={t("Account")} columns={[t("What"), t("State")]} rows={rows.map(([name, value]) => ({ id: name, cells: [name, value] }))} />;
}

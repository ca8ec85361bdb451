import { Anchor, PasswordInput, Text, TextInput, Title } from "@mantine/core";
import { useEffect, useRef, useState } from "react";
import type { UserAccount } from "../../../api/generated/admin";
import { BASE, Problem, send } from "../../../api/http";
import { rich, t } from "../../../language/text";
import { Steps } from "./Steps";

const EMPTY = { password: "", fresh: "", again: "", code: "" };

/** Changes the password of the user, which ends all their sessions. */
export function Password({ user, account }: { user: string; account: UserAccount }) {
  const [typed, setTyped] = useState(EMPTY);
  const [isChanged, setChanged] = useState(false);
  const done = useRef<HTMLParagraphElement>(null);
  useEffect(() => done.current?.focus(), [isChanged]);
  const bind = (name: keyof typeof EMPTY) => ({
    value: typed[name],
    onChange: (event: { currentTarget: { value: string } }) => {
      const { value } = event.currentTarget;
      setTyped((before) => ({ ...before, [name]: value }));
    },
    w: "100%",
  });
  const change = async () => {
    if (typed.fresh !== typed.again) throw new Problem(422, { detail: t("The two passwords differ.") }, "");
    const body = { name: user, password: typed.password, new_password: typed.fresh, one_time_password: typed.code.trim() };
    await send("POST", "/api/v1/admin/sessions:change-password", { body });
    setTyped(EMPTY);
    setChanged(true);
  };
  return (
    <section aria-labelledby="password">
      <Title order={2} id="password" mb="sm">{t("Password")}</Title>
      {!account.has_password && <Text c="dimmed">{t("You log in through your identity provider. Change it there.")}</Text>}
      {account.has_password && isChanged && (
        <Text role="status" ref={done} tabIndex={-1}>{rich("Your password was changed. <link>Log in</link>", { link: (inside) => <Anchor href={`${BASE}/login?next=${encodeURIComponent(`${BASE}/account`)}`}>{inside}</Anchor> })}</Text>
      )}
      {account.has_password && !isChanged && (
        <Steps submit={t("Change")} quiet run={change}>
          <input type="hidden" name="name" value={user} autoComplete="username" />
          <PasswordInput label={t("Current password")} autoComplete="current-password" {...bind("password")} />
          <PasswordInput label={t("New password")} autoComplete="new-password" {...bind("fresh")} />
          <PasswordInput label={t("Repeat the new password")} autoComplete="new-password" {...bind("again")} />
          {account.has_one_time_password && <TextInput label={t("One-time code, or a recovery code")} autoComplete="one-time-code" maxLength={64} {...bind("code")} />}
          <Text size="xs" c="dimmed">{t("All your sessions end, including this one.")}</Text>
        </Steps>
      )}
    </section>
  );
}

import { Code, Stack, Text, TextInput, Title } from "@mantine/core";
import { useQueryClient } from "@tanstack/react-query";
import { useRef, useState } from "react";
import type { Enrollment, RecoveryCodes as IssuedCodes, UserAccount } from "../../../api/generated/admin";
import { send } from "../../../api/http";
import { rich, t } from "../../../language/text";
import { RecoveryCodes } from "./RecoveryCodes";
import { Steps } from "./Steps";

const CODE = { autoComplete: "one-time-code", autoCapitalize: "none", spellCheck: false, maxLength: 64, w: "100%" } as const;

/** Sets up the one-time password of the user, turns it off, and renews its recovery codes. */
export function OneTimePassword({ user, account }: { user: string; account: UserAccount }) {
  const queries = useQueryClient();
  const [enrollment, setEnrollment] = useState<Enrollment | null>(null);
  const [codes, setCodes] = useState<string[] | null>(null);
  const [code, setCode] = useState("");
  const [renewal, setRenewal] = useState("");
  const act = async <T,>(verb: string, body: object = {}) => (await send<T>("POST", `/api/v1/admin/users/${encodeURIComponent(user)}:${verb}`, { body })).body;
  const heading = useRef<HTMLHeadingElement>(null);
  const kept = () => {
    setCodes(null);
    heading.current?.focus();
  };
  const finished = () => {
    setEnrollment(null);
    setCode("");
    setRenewal("");
    return queries.invalidateQueries({ queryKey: ["account", user] });
  };
  const confirm = async () => {
    const answer = await act<IssuedCodes>("confirm-one-time-password", { code: code.trim() });
    setCodes(answer.recovery_codes);
    await finished();
  };
  const renew = async () => {
    const answer = await act<IssuedCodes>("renew-recovery-codes", { code: renewal.trim() });
    setCodes(answer.recovery_codes);
    await finished();
  };
  return (
    <section aria-labelledby="factor">
      <Title order={2} id="factor" mb="sm" ref={heading} tabIndex={-1}>{t("One-time password")}</Title>
      {!account.has_password && <Text c="dimmed">{t("You log in through your identity provider. Change it there.")}</Text>}
      {codes && <RecoveryCodes key={codes[0]} codes={codes} onKept={kept} />}
      {!codes && account.has_password && !account.has_one_time_password && !enrollment && (
        <Steps submit={t("Set up")} run={async () => setEnrollment(await act<Enrollment>("enroll-one-time-password"))}>
          <Text size="sm">{t("You log in with a password only. With a one-time code from an app, a stolen password is not enough to log in.")}</Text>
        </Steps>
      )}
      {!codes && enrollment && (
        <Steps submit={t("Confirm")} run={confirm}>
          <Text size="sm">{t("Scan this code with an authenticator app on your phone.")}</Text>
          <img src={enrollment.qr_code} alt={t("QR code for an authenticator app")} width={200} height={200} style={{ background: "#fff" }} />
          <Text size="sm">{rich("Or type this key into the app: {code}", { code: <Code>{enrollment.secret.match(/.{1,4}/g)?.join(" ")}</Code> })}</Text>
          <TextInput label={t("Current code from the app")} inputMode="numeric" autoFocus value={code} onChange={(event) => setCode(event.currentTarget.value)} {...CODE} />
        </Steps>
      )}
      {!codes && account.has_one_time_password && (
        <Stack gap="lg">
          <Steps submit={t("Turn off")} quiet run={async () => { await act("disable-one-time-password", { code: code.trim() }); await finished(); heading.current?.focus(); }}>
            <Text size="sm">{t("You log in with your password and a code from your app. To use another phone, turn it off and set it up again.")}</Text>
            <TextInput label={t("One-time code, or a recovery code")} value={code} onChange={(event) => setCode(event.currentTarget.value)} {...CODE} />
          </Steps>
          <Steps submit={t("Create new codes")} quiet run={renew}>
            <Title order={3}>{t("Recovery codes")}</Title>
            <Text size="sm">{t("If you have few recovery codes left, or lost them, create new ones. The old ones stop working.")}</Text>
            <TextInput label={t("Code from your app, or an unused recovery code")} value={renewal} onChange={(event) => setRenewal(event.currentTarget.value)} {...CODE} />
          </Steps>
        </Stack>
      )}
    </section>
  );
}

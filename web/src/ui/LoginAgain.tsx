import { Anchor, Button, Group, Modal, PasswordInput, Stack, Text, TextInput } from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { type FormEvent, useEffect, useState } from "react";
import type { Session } from "../api/generated/admin";
import { BASE, Problem, send } from "../api/http";
import { session } from "../api/platform";
import { goOn, useExpired } from "../api/renewal";
import { t } from "../language/text";
import { Trouble } from "./Trouble";

const CODE_REQUIRED = "ONE_TIME_CODE_REQUIRED";
const CURRENT = "/api/v1/admin/sessions/current";

/** Asks the user to log in again when their session has ended. The page below keeps its content. */
export function LoginAgain() {
  const isExpired = useExpired();
  const { data: current } = useQuery(session);
  const user = current?.user;
  const page = `${BASE}/login?next=${encodeURIComponent(location.pathname + location.search)}`;
  useEffect(() => {
    // A page that never had a session has nothing to keep. One that only allows the setup of a one-time password can't read.
    if ((isExpired && !user) || current?.must_enroll) location.assign(page);
  }, [isExpired, user, current?.must_enroll, page]);
  if (!isExpired || !user) return null;
  return (
    <Modal opened onClose={() => {}} withCloseButton={false} closeOnClickOutside={false} closeOnEscape={false} title={t("Your session has ended")} zIndex={1000}>
      <Form user={user} page={page} />
    </Modal>
  );
}

function Form({ user, page }: { user: string; page: string }) {
  const [password, setPassword] = useState("");
  const [code, setCode] = useState("");
  const [needsCode, setNeedsCode] = useState(false);
  const login = useMutation({
    mutationFn: () => send<Session>("POST", "/api/v1/admin/sessions:login", { body: { name: user, password, one_time_password: code.replaceAll(/\s/g, "") } }),
    onError: (error) => setNeedsCode((before) => before || (error instanceof Problem && error.reason === CODE_REQUIRED)),
    onSuccess: ({ body }) => (body.must_enroll ? location.assign(page) : goOn()),
  });
  // The user may have logged in on another tab.
  useQuery({
    queryKey: ["session", "elsewhere"],
    queryFn: async () => {
      const response = await fetch(BASE + CURRENT);
      const found = response.ok ? ((await response.json()) as Session).user : null;
      if (found === user) goOn();
      return found;
    },
    refetchOnWindowFocus: "always",
    gcTime: 0,
  });
  const onSubmit = (event: FormEvent) => {
    event.preventDefault();
    login.mutate();
  };
  return (
    <form onSubmit={onSubmit}>
      <Stack gap="sm">
        <Text size="sm">{t("Log in as {user} to go on where you were.", { user })}</Text>
        <input type="hidden" value={user} autoComplete="username" />
        <PasswordInput label={t("Password")} autoComplete="current-password" data-autofocus value={password} onChange={(event) => setPassword(event.currentTarget.value)} />
        {needsCode && <TextInput label={t("One-time code")} description={t("A recovery code works, too.")} autoFocus autoComplete="one-time-code" maxLength={64} value={code} onChange={(event) => setCode(event.currentTarget.value)} />}
        {login.error && !(login.error instanceof Problem && login.error.reason === CODE_REQUIRED) && <Trouble error={login.error} />}
        <Group justify="space-between">
          <Anchor href={page} size="sm">{t("Log in another way")}</Anchor>
          <Button type="submit" loading={login.isPending}>{t("Log in")}</Button>
        </Group>
      </Stack>
    </form>
  );
}

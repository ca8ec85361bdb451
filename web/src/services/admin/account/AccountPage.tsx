import { Stack, Title } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { get } from "../../../api/http";
import { session } from "../../../api/platform";
import type { UserAccount } from "../../../api/generated/admin";
import { t } from "../../../language/text";
import { Trouble } from "../../../ui/Trouble";
import { ApiKeys } from "./ApiKeys";
import { Look } from "./Look";
import { OneTimePassword } from "./OneTimePassword";
import { Password } from "./Password";
import { Sessions } from "./Sessions";

/** The account of the caller: how they log in, their sessions and keys, and how the console looks. */
export function AccountPage() {
  const { data: current } = useQuery(session);
  const user = current?.user;
  const account = useQuery({
    queryKey: ["account", user],
    queryFn: ({ signal }) => get<UserAccount>(`/api/v1/admin/users/${encodeURIComponent(user ?? "")}/account`, { signal }),
    enabled: Boolean(user),
    retry: false,
  });
  return (
    <Stack gap="xl" maw={880}>
      <Title order={1}>{t("Your account")}</Title>
      <Look />
      {account.error && <Trouble error={account.error} retry={() => account.refetch()} />}
      {account.data && user && (
        <>
          <OneTimePassword user={user} account={account.data} />
          <Password user={user} account={account.data} />
        </>
      )}
      {current && <Sessions current={current.id} />}
      <ApiKeys />
    </Stack>
  );
}

import { Anchor, Group, Table, Text, Title } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import type { ApiKeyPage, UserInfo } from "../../../api/generated/admin";
import { get, send } from "../../../api/http";
import { OperationButton } from "../../../kernel/OperationButton";
import { t } from "../../../language/text";
import { Time } from "../../../ui/Time";
import { Trouble } from "../../../ui/Trouble";

/** The valid API keys of the user, for programs that act with the user's rights or with fewer. */
export function ApiKeys() {
  const { data: me } = useQuery({
    queryKey: ["userinfo"],
    queryFn: async ({ signal }) => (await send<UserInfo>("POST", "/api/v1/admin/sessions:userinfo", { body: {}, signal })).body,
  });
  const found = useQuery({
    queryKey: ["items", "admin", "api-keys", "own", me?.sub],
    queryFn: ({ signal }) => get<ApiKeyPage>("/api/v1/admin/api-keys", { query: { filter: `principal_id == "${me?.sub}"`, page_size: 100 }, signal }),
    enabled: Boolean(me),
    retry: false,
  });
  const valid = found.data?.items.filter((one) => !one.revoked_at && Date.parse(one.expires_at) > Date.now());
  return (
    <section aria-labelledby="api-keys">
      <Group justify="space-between" mb="sm">
        <Title order={2} id="api-keys">{t("API keys")}</Title>
        <Anchor component={Link} to="/admin/api-keys/new" size="sm">{t("Create an API key")}</Anchor>
      </Group>
      {found.error && <Trouble error={found.error} retry={() => found.refetch()} />}
      {valid?.length === 0 && <Text size="sm" c="dimmed">{t("You have none. A key lets a program or the command line act for you, with all of your rights or with some.")}</Text>}
      {valid && valid.length > 0 && (
        <Table.ScrollContainer minWidth={340}>
          <Table verticalSpacing={4}>
            <Table.Thead><Table.Tr><Table.Th>{t("Key")}</Table.Th><Table.Th>{t("Begins with")}</Table.Th><Table.Th>{t("Expires")}</Table.Th><Table.Td /></Table.Tr></Table.Thead>
            <Table.Tbody>
              {valid.map((one) => (
                <Table.Tr key={one.id}>
                  <Table.Td>{one.label}</Table.Td>
                  <Table.Td ff="monospace">{one.prefix}</Table.Td>
                  <Table.Td><Time value={one.expires_at} /></Table.Td>
                  <Table.Td>
                    <Group gap="xs" justify="flex-end" wrap="nowrap">
                      <OperationButton service="admin" plural="api-keys" verb="rotate" id={one.id} />
                      <OperationButton service="admin" plural="api-keys" verb="revoke" id={one.id} />
                    </Group>
                  </Table.Td>
                </Table.Tr>
              ))}
            </Table.Tbody>
          </Table>
        </Table.ScrollContainer>
      )}
    </section>
  );
}

import { Anchor, Group, Skeleton, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { get } from "../../../api/http";
import { OperationButton } from "../../../kernel/OperationButton";
import { t } from "../../../language/text";
import { State } from "../../../ui/State";
import { Time } from "../../../ui/Time";
import { Trouble } from "../../../ui/Trouble";
import { Rows } from "../Rows";

interface Key extends Record<string, unknown> {
  id: string;
  label: string;
  prefix: string;
  scopes: string[];
  created_at: string;
  expires_at: string;
  revoked_at: string | null;
}

/** The API keys of a principal. A rotation shows the new secret once, and the old key works for the overlap. */
export function Keys({ principal }: { principal: string }) {
  const keys = useQuery({
    queryKey: ["items", "admin", "api-keys", principal],
    queryFn: ({ signal }) => get<{ items: Key[] }>("/api/v1/admin/api-keys", { query: { filter: `principal_id == "${principal}"`, page_size: 100 }, signal }),
    retry: false,
  });
  if (keys.error) return <Trouble error={keys.error} retry={() => keys.refetch()} />;
  if (!keys.data) return <Skeleton height={120} />;
  const now = Date.now();
  return (
    <>
      <Text size="sm" c="dimmed" mb="xs"><Anchor component={Link} to="/admin/api-keys/new" size="sm">{t("Create an API key")}</Anchor></Text>
      <Rows
        label={t("Keys")}
        empty={t("There are no keys that you can see.")}
        columns={[t("Purpose"), t("State"), t("Limited to"), t("Created"), t("Expires"), t("Do")]}
        rows={keys.data.items.map((key) => {
          const ended = key.revoked_at ? t("Revoked") : Date.parse(key.expires_at) < now ? t("Expired") : "";
          return {
            id: key.id,
            cells: [
              <Anchor key="label" component={Link} to={`/admin/api-keys/${key.id}`} size="sm">{key.label}</Anchor>,
              <State key="state" color={ended ? "gray" : "teal"}>{ended || t("Valid")}</State>,
              key.scopes.join(", ") || t("All rights of the principal"),
              <Time key="created" value={key.created_at} />,
              <Time key="expires" value={key.expires_at} />,
              ended ? null : (
                <Group key="do" gap={4} wrap="nowrap">
                  <OperationButton service="admin" plural="api-keys" verb="rotate" id={key.id} item={key} size="compact-xs" />
                  <OperationButton service="admin" plural="api-keys" verb="revoke" id={key.id} item={key} size="compact-xs" />
                </Group>
              ),
            ],
          };
        })}
      />
    </>
  );
}

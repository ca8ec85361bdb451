import { Anchor, Group, Skeleton, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import type { ApiKeyUsage } from "../../../api/generated/admin";
import { get } from "../../../api/http";
import { OperationButton } from "../../../kernel/OperationButton";
import { t } from "../../../language/text";
import { State } from "../../../ui/State";
import { Time } from "../../../ui/Time";
import { Trouble } from "../../../ui/Trouble";
import { Rows } from "../../../ui/Rows";
import { NewKey } from "./NewKey";

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
export function Keys({ principal, name, kind }: { principal: string; name: string; kind: string }) {
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
      <Group justify="space-between" mb="xs">
        <Text size="sm" c="dimmed">{t("With a key, a program acts as {name}. To replace a key without a break, rotate it.", { name })}</Text>
        <NewKey principal={principal} name={name} kind={kind} />
      </Group>
      <Rows
        label={t("Keys")}
        empty={t("There are no keys that you can see.")}
        columns={[t("Purpose"), t("State"), t("Limited to"), t("Created"), t("Expires"), t("Last use"), t("Do")]}
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
              <LastUse key="use" id={key.id} />,
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

function LastUse({ id }: { id: string }) {
  const usage = useQuery({ queryKey: ["item", "admin", "api-keys", id, "usage"], queryFn: ({ signal }) => get<ApiKeyUsage>(`/api/v1/admin/api-keys/${encodeURIComponent(id)}/usage`, { signal }), retry: false });
  if (!usage.data) return usage.error ? t("Unknown") : null;
  const { last_used_at, last_used_from } = usage.data;
  return last_used_at ? <Text size="sm" span><Time value={last_used_at} />{last_used_from && t(", from {last_used_from}", { last_used_from })}</Text> : t("Never");
}

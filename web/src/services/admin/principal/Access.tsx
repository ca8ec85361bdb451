import { Anchor, Button, Group, Skeleton, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import type { EffectiveAccess } from "../../../api/generated/admin";
import { get } from "../../../api/http";
import { t } from "../../../language/text";
import { State } from "../../../ui/State";
import { Time } from "../../../ui/Time";
import { Trouble } from "../../../ui/Trouble";
import { RevokeGrant } from "../access/RevokeGrant";
import { Rows } from "../../../ui/Rows";

/** Every grant of a user, direct or through groups. */
export function Access({ path, id }: { path: string; id: string }) {
  const held = useQuery({ queryKey: ["item", "admin", "users", id, "access"], queryFn: ({ signal }) => get<EffectiveAccess>(`${path}/effective-access`, { signal }), retry: false });
  if (held.error) return <Trouble error={held.error} retry={() => held.refetch()} />;
  if (!held.data) return <Skeleton height={160} />;
  const { items, names } = held.data;
  const name = (of: string) => (of === "platform" ? t("Platform") : (names[of] ?? of));
  return (
    <>
      <Group justify="space-between" mb="xs">
        <Text size="sm" c="dimmed">{t("Every grant that applies to the user, direct or through groups.")}</Text>
        <Button component={Link} to="/admin/grants/new" search={{ principal: id } as never} size="xs" variant="default">{t("Give a role")}</Button>
      </Group>
      <Rows
        label={t("Access")}
        empty={t("The user has no grant that you can see.")}
        columns={[t("Role or permission"), t("Effect"), t("On"), t("Through"), t("Condition"), t("Expires"), t("Do")]}
        rows={items.map(({ grant, role_name, path }) => ({
          id: grant.id,
          cells: [
            role_name ?? grant.permission,
            <State key="effect" color={grant.effect === "DENY" ? "red" : "teal"}>{grant.effect === "DENY" ? t("Denied") : t("Allowed")}</State>,
            name(grant.securable_id),
            path.slice(1).map(name).join(", in ") || t("Direct"),
            grant.condition,
            grant.expires_at && <Time value={grant.expires_at} />,
            <Group key="do" gap={8} wrap="nowrap">
              <Anchor component={Link} to={`/admin/grants/${grant.id}`} size="sm">{t("Open")}</Anchor>
              {path.length === 1 && <RevokeGrant grant={grant} />}
            </Group>,
          ],
        }))}
      />
    </>
  );
}

import { Skeleton, Stack, Text, TextInput } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import type { Role } from "../../../api/generated/admin";
import { t } from "../../../language/text";
import { Trouble } from "../../../ui/Trouble";
import { allowedBy } from "../access/effect";
import { PermissionList } from "./PermissionList";
import { matching, permissions } from "./permissions";

/** What a role allows, found by name or by what it does. */
export function RolePermissions({ role, text, onText }: { role: Role; text: string; onText: (text: string) => void }) {
  const every = useQuery(permissions);
  if (every.error) return <Trouble error={every.error} retry={() => every.refetch()} />;
  if (!every.data) return <Skeleton height={200} />;
  const held = allowedBy(role, every.data.items);
  const shown = matching(held, text);
  return (
    <Stack gap="sm">
      <TextInput type="search" label={t("Find a permission")} description={t("By its name, or by what it allows")} value={text} onChange={(event) => onText(event.currentTarget.value)} maw={420} />
      <Text size="sm" c="dimmed" role="status">
        {text ? t("{count, number} of {count2, number} permissions", { count: shown.length, count2: held.length }) : t("{count, number} of all {count2, number} permissions", { count: held.length, count2: every.data.items.length })}
      </Text>
      {!held.length && <Text size="sm">{t("The role allows nothing yet. Edit it to add permissions.")}</Text>}
      {(role.spec.denied ?? []).length > 0 && <Text size="sm">{t("It denies {denied}, whatever other grants allow.", { denied: (role.spec.denied ?? []).join(", ") })}</Text>}
      <PermissionList label={t("Permissions")} permissions={shown} open={Boolean(text) || shown.length <= 40} />
    </Stack>
  );
}

import { Skeleton, Stack, Text, TextInput } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import type { Role } from "../../../api/generated/admin";
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
      <TextInput type="search" label="Find a permission" description="By its name, or by what it allows" value={text} onChange={(event) => onText(event.currentTarget.value)} maw={420} />
      <Text size="sm" c="dimmed" role="status">
        {text ? `${shown.length.toLocaleString()} of ${held.length.toLocaleString()} permissions` : `${held.length.toLocaleString()} of all ${every.data.items.length.toLocaleString()} permissions`}
      </Text>
      {!held.length && <Text size="sm">The role allows nothing yet. Edit it to add permissions.</Text>}
      {(role.spec.denied ?? []).length > 0 && <Text size="sm">It denies {(role.spec.denied ?? []).join(", ")}, whatever other grants allow.</Text>}
      <PermissionList label="Permissions" permissions={shown} open={Boolean(text) || shown.length <= 40} />
    </Stack>
  );
}

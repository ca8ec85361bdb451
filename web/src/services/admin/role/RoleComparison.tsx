import { SimpleGrid, Skeleton, Stack, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import type { PermissionEntry, Role } from "../../../api/generated/admin";
import { get } from "../../../api/http";
import { t } from "../../../language/text";
import { Trouble } from "../../../ui/Trouble";
import { allowedBy } from "../access/effect";
import { Picker } from "../../../fields/Picker";
import { Section } from "../../../ui/Section";
import { PermissionList } from "./PermissionList";
import { permissions } from "./permissions";

/** What a role allows that another one doesn't, and the other way around. */
export function RoleComparison({ role, other, onOther }: { role: Role; other: string; onOther: (id: string) => void }) {
  const every = useQuery(permissions);
  const read = useQuery({ queryKey: ["item", "admin", "roles", other, "compared"], queryFn: ({ signal }) => get<Role>(`/api/v1/admin/roles/${encodeURIComponent(other)}`, { signal }), enabled: Boolean(other), retry: false });
  const error = every.error ?? read.error;
  const found = every.data && read.data && difference(allowedBy(role, every.data.items), allowedBy(read.data, every.data.items));
  return (
    <Stack gap="md">
      <Picker label={t("Compare with")} placeholder={t("Choose another role")} kinds={["admin.role"]} value={other} onChange={onOther} without={[role.id]} />
      {error && <Trouble error={error} />}
      {other && !error && !found && <Skeleton height={160} />}
      {found && read.data && (
        <>
          <Text size="sm" role="status">{t("{both, number} permissions are in both.", { both: found.both })}</Text>
          <SimpleGrid cols={{ base: 1, md: 2 }}>
            <Only name={role.name} permissions={found.first} />
            <Only name={read.data.name} permissions={found.second} />
          </SimpleGrid>
        </>
      )}
    </Stack>
  );
}

function Only({ name, permissions }: { name: string; permissions: PermissionEntry[] }) {
  return (
    <Section title={t("Only in {name}", { name })}>
      {permissions.length ? <PermissionList label={t("Only in {name}", { name })} permissions={permissions} open={permissions.length <= 40} /> : <Text size="sm" c="dimmed">{t("Nothing: the other role allows all of it.")}</Text>}
    </Section>
  );
}

function difference(first: PermissionEntry[], second: PermissionEntry[]) {
  const [names, others] = [first, second].map((list) => new Set(list.map((one) => one.name)));
  return {
    first: first.filter((one) => !others?.has(one.name)),
    second: second.filter((one) => !names?.has(one.name)),
    both: first.filter((one) => others?.has(one.name)).length,
  };
}

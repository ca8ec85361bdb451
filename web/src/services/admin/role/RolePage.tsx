import { Anchor, Breadcrumbs, Button, Group, Stack, Tabs, Text, Title } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import type { Role } from "../../../api/generated/admin";
import { send } from "../../../api/http";
import { useLive } from "../../../api/live";
import { catalogues, kindOf, openApi } from "../../../api/platform";
import { Actions } from "../../../kernel/Actions";
import { Fields } from "../../../kernel/Fields";
import { History } from "../../../kernel/History";
import { t } from "../../../language/text";
import { State } from "../../../ui/State";
import { Trouble } from "../../../ui/Trouble";
import { RoleHolders } from "./RoleHolders";
import { RolePermissions } from "./RolePermissions";
import { RoleComparison } from "./RoleComparison";

const TABS = { permissions: t("Permissions"), holders: t("Who has it"), compare: t("Compare"), details: t("Details"), history: t("History") };

interface Search {
  tab?: string;
  text?: string;
  with?: string;
}

/** A role: what it allows, who has it where, and what sets it apart from another one. */
export function RolePage() {
  const { id = "" } = useParams({ strict: false });
  const search: Search = useSearch({ strict: false });
  const { tab = "permissions" } = search;
  const navigate = useNavigate();
  const { data: found } = useQuery(catalogues);
  const { data: document } = useQuery(openApi("admin"));
  const path = `/api/v1/admin/roles/${encodeURIComponent(id)}`;
  const key = ["item", "admin", "roles", id];
  const read = useQuery({ queryKey: key, queryFn: ({ signal }) => send<Role>("GET", path, { signal }), retry: false });
  useLive(["admin.role"], key, id);
  const kind = found && kindOf(found, "admin", "roles");
  const role = read.data?.body;
  const schema = document?.components.schemas.Role;
  const change = (changed: Search) => {
    const values = Object.entries({ ...search, ...changed }).filter(([, value]) => value);
    void navigate({ to: `/admin/roles/${encodeURIComponent(id)}`, search: Object.fromEntries(values) as never, replace: true });
  };
  return (
    <Stack gap="md">
      <Breadcrumbs>
        <Anchor component={Link} to="/admin/roles" size="sm">{t("Roles")}</Anchor>
        <Text size="sm">{role?.name ?? id}</Text>
      </Breadcrumbs>
      {read.error && <Trouble error={read.error} retry={() => read.refetch()} />}
      {role && kind && (
        <>
          <Group justify="space-between" align="flex-start">
            <div>
              <Group gap="sm">
                <Title order={1}>{role.name}</Title>
                {role.status.built_in && <State color="gray">{t("Built in")}</State>}
              </Group>
              <Text size="sm" c="dimmed">{role.spec.description || role.spec.title}</Text>
            </div>
            <Group gap="xs">
              <Button component={Link} to="/admin/grants/new" search={{ role: role.id } as never} size="xs">{t("Give this role")}</Button>
              <Actions service="admin" kind={kind} id={role.id} item={role as unknown as Record<string, unknown>} etag={read.data?.etag} first={["clone"]} without={role.status.built_in ? ["update", "delete"] : []} />
            </Group>
          </Group>
          <Tabs value={tab} keepMounted={false} onChange={(chosen) => change({ tab: chosen ?? undefined, text: undefined, with: undefined })}>
            <Tabs.List>{Object.entries(TABS).map(([value, text]) => <Tabs.Tab key={value} value={value}>{text}</Tabs.Tab>)}</Tabs.List>
            <Tabs.Panel value="permissions" pt="md"><RolePermissions role={role} text={search.text ?? ""} onText={(text) => change({ text })} /></Tabs.Panel>
            <Tabs.Panel value="holders" pt="md"><RoleHolders role={role.id} /></Tabs.Panel>
            <Tabs.Panel value="compare" pt="md"><RoleComparison role={role} other={search.with ?? ""} onOther={(other) => change({ with: other })} /></Tabs.Panel>
            <Tabs.Panel value="details" pt="md">{schema && document && <Fields item={role as unknown as Record<string, unknown>} schema={schema} schemas={document.components.schemas} />}</Tabs.Panel>
            <Tabs.Panel value="history" pt="md"><History path={`${path}/revisions`} /></Tabs.Panel>
          </Tabs>
        </>
      )}
    </Stack>
  );
}

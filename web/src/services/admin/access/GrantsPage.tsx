import { Button, Group, Skeleton, Stack, Text, Title } from "@mantine/core";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { useLive } from "../../../api/live";
import { allowedSomewhere } from "../../../api/platform";
import { t } from "../../../language/text";
import { Trouble } from "../../../ui/Trouble";
import { PRINCIPALS, Picker } from "../../../fields/Picker";
import { GrantTable } from "./GrantTable";
import { grantsWhere } from "./grants";

interface Search {
  principal?: string;
  role?: string;
  on?: string;
}

const GIVE = "admin.grant.create";

/** All grants that the caller can see, by who has them, by role, and by place. */
export function GrantsPage() {
  const { principal, role, on }: Search = useSearch({ strict: false });
  const navigate = useNavigate();
  const { data: mayGive } = useQuery(allowedSomewhere(GIVE));
  const asked = grantsWhere({ principal_id: principal, role_id: role, securable_id: on });
  const found = useInfiniteQuery(asked);
  useLive(["admin.grant"], ["items", "admin", "grants"]);
  const change = (changed: Search) => void navigate({ to: "/admin/grants", search: Object.fromEntries(Object.entries({ principal, role, on, ...changed }).filter(([, value]) => value)) as never, replace: true });
  const grants = found.data?.pages.flatMap((page) => page.items);
  return (
    <Stack gap="md">
      <Group justify="space-between" align="flex-start">
        <div>
          <Title order={1}>{t("Grants")}</Title>
          <Text size="sm" c="dimmed">{t("Who has which role, and where. A grant also applies to everything below its place, and a group's grants to all of its members.")}</Text>
        </div>
        <Button component={Link} to="/admin/grants/new" search={{ principal, role } as never} disabled={!mayGive} title={mayGive === false ? t("You need the permission {GIVE}.", { GIVE }) : undefined}>{t("Give a role")}</Button>
      </Group>
      <Group align="flex-end">
        <Picker label={t("Who")} placeholder={t("Anybody")} kinds={PRINCIPALS} value={principal ?? ""} onChange={(id) => change({ principal: id })} />
        <Picker label={t("Role")} placeholder={t("Any role")} kinds={["admin.role"]} value={role ?? ""} onChange={(id) => change({ role: id })} />
        <Picker label={t("Where")} placeholder={t("Anywhere")} kinds={["admin.organization", "admin.project"]} value={on === "platform" ? "" : (on ?? "")} onChange={(id) => change({ on: id })} />
        <Button variant={on === "platform" ? "light" : "default"} aria-pressed={on === "platform"} onClick={() => change({ on: on === "platform" ? undefined : "platform" })}>{t("On the platform")}</Button>
      </Group>
      {found.error && <Trouble error={found.error} retry={() => found.refetch()} />}
      {found.isPending && <Skeleton height={200} />}
      {grants && <GrantTable grants={grants} empty={principal || role || on ? t("No grant that you can see matches this.") : t("There are no grants that you can see. To let somebody do something, give them a role.")} />}
      {found.hasNextPage && <Group><Button variant="default" loading={found.isFetchingNextPage} onClick={() => found.fetchNextPage()}>{t("Show more")}</Button></Group>}
    </Stack>
  );
}

import { Anchor, Button, Group, Skeleton, Text } from "@mantine/core";
import { useInfiniteQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { rich, t } from "../../../language/text";
import { Trouble } from "../../../ui/Trouble";
import { GrantTable } from "./GrantTable";
import { grantsWhere } from "./grants";

/** The grants of a principal itself, without those of its groups. */
export function PrincipalGrants({ principal, name }: { principal: string; name: string }) {
  const found = useInfiniteQuery(grantsWhere({ principal_id: principal }));
  if (found.error) return <Trouble error={found.error} retry={() => found.refetch()} />;
  if (!found.data) return <Skeleton height={120} />;
  return (
    <>
      <Group justify="space-between" mb="xs">
        <Text size="sm" c="dimmed">{rich("Grants of {name} itself. It also has those of the groups that it is in: <link>explain access</link>.", { name, link: (inside) => <Anchor component={Link} to="/admin/explain" search={{ principal } as never} size="sm">{inside}</Anchor> })}</Text>
        <Button component={Link} to="/admin/grants/new" search={{ principal } as never} size="xs" variant="default">{t("Give a role")}</Button>
      </Group>
      <GrantTable grants={found.data.pages.flatMap((page) => page.items)} empty={t("{name} has no grant that you can see.", { name })} without="who" />
      {found.hasNextPage && <Button mt="xs" size="xs" variant="default" onClick={() => found.fetchNextPage()}>{t("Show more")}</Button>}
    </>
  );
}

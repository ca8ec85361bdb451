import { Button, Skeleton } from "@mantine/core";
import { useInfiniteQuery } from "@tanstack/react-query";
import { t } from "../../../language/text";
import { Trouble } from "../../../ui/Trouble";
import { GrantTable } from "../access/GrantTable";
import { grantsWhere } from "../access/grants";

/** Who has a role, and where. */
export function RoleHolders({ role }: { role: string }) {
  const found = useInfiniteQuery(grantsWhere({ role_id: role }));
  if (found.error) return <Trouble error={found.error} retry={() => found.refetch()} />;
  if (!found.data) return <Skeleton height={120} />;
  return (
    <>
      <GrantTable grants={found.data.pages.flatMap((page) => page.items)} empty={t("Nobody that you can see has this role.")} without="right" />
      {found.hasNextPage && <Button mt="xs" size="xs" variant="default" onClick={() => found.fetchNextPage()}>{t("Show more")}</Button>}
    </>
  );
}

import { Button, Group, Radio, Skeleton, Stack, Table, Text } from "@mantine/core";
import { useInfiniteQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { get } from "../../../api/http";
import { t } from "../../../language/text";
import { Time } from "../../../ui/Time";
import { assetPage, assetPath } from "./asset";
import { Difference } from "./Difference";
import { NoRows } from "./NoRows";
import type { History } from "./VersionPicker";
import { PageButton } from "../../../ui/PageLink";

const ROUTE = "/ai-catalog/assets/$id" as const;

/** The versions of an asset, newest first, and the differences between two of them. */
export function VersionsTab({ id }: { id: string }) {
  const { from, to } = useSearch({ from: ROUTE });
  const navigate = useNavigate({ from: ROUTE });
  const history = useInfiniteQuery({
    queryKey: ["asset part", id, "history pages"],
    queryFn: ({ pageParam, signal }) => get<History>(assetPath(id, "/history"), { query: { page_size: 50, page_token: pageParam }, signal }),
    initialPageParam: "",
    getNextPageParam: (page) => page.next_page_token || undefined,
    retry: false,
  });
  const items = history.data?.pages.flatMap((page) => page.items) ?? [];
  const several = items.length > 1;
  const later = to ?? (items[0] ? String(items[0].table_version) : undefined);
  const earlier = from ?? (items[1] ? String(items[1].table_version) : undefined);
  const change = (changed: { from?: string; to?: string }) => navigate({ search: (before) => ({ ...before, from: earlier, to: later, ...changed }), replace: true });
  return (
    <Stack gap="md">
      {history.error && <NoRows id={id} error={history.error} retry={() => void history.refetch()} />}
      {history.isPending && <Skeleton h={160} />}
      {items.length > 0 && (
        <Table.ScrollContainer minWidth={520} mah={360} type="native">
          <Table verticalSpacing={2} stickyHeader aria-label={t("Versions")}>
            <Table.Thead>
              <Table.Tr>{several && <><Table.Th>{t("Earlier")}</Table.Th><Table.Th>{t("Later")}</Table.Th></>}<Table.Th>{t("Version")}</Table.Th><Table.Th>{t("Written")}</Table.Th><Table.Th>{t("Operation")}</Table.Th><Table.Th ta="right">{t("Rows")}</Table.Th><Table.Th /></Table.Tr>
            </Table.Thead>
            <Table.Tbody>
              {items.map((one) => {
                const number = String(one.table_version);
                return (
                  <Table.Tr key={one.data_version}>
                    {several && <><Table.Td><Radio size="xs" name="earlier" aria-label={t("Compare from version {number}", { number })} checked={number === earlier} onChange={() => void change({ from: number })} disabled={Number(number) >= Number(later)} /></Table.Td>
                    <Table.Td><Radio size="xs" name="later" aria-label={t("Compare to version {number}", { number })} checked={number === later} onChange={() => void change({ to: number, from: Number(earlier) >= Number(number) ? String(Number(number) - 1) : earlier })} disabled={number === "0"} /></Table.Td></>}
                    <Table.Td title={one.data_version}>{number}</Table.Td>
                    <Table.Td><Time value={one.committed_at} /></Table.Td>
                    <Table.Td>{operation(one.operation)}</Table.Td>
                    <Table.Td ta="right" style={{ fontVariantNumeric: "tabular-nums" }}>{one.row_count?.toLocaleString() ?? "–"}</Table.Td>
                    <Table.Td>
                      <Group gap={4} wrap="nowrap" justify="flex-end">
                        <PageButton to={assetPage(id)} search={{ tab: "data", version: number }} size="compact-xs" variant="subtle">{t("Rows")}</PageButton>
                        <PageButton to={assetPage(id)} search={{ tab: "provenance", version: one.data_version }} size="compact-xs" variant="subtle">{t("Provenance")}</PageButton>
                      </Group>
                    </Table.Td>
                  </Table.Tr>
                );
              })}
            </Table.Tbody>
          </Table>
        </Table.ScrollContainer>
      )}
      {history.hasNextPage && <Group><Button size="xs" variant="default" loading={history.isFetchingNextPage} onClick={() => history.fetchNextPage()}>{t("Show earlier versions")}</Button></Group>}
      {items.length === 1 && <Text size="sm" c="dimmed">{t("There is one version. A second one can be compared with it.")}</Text>}
      {earlier !== undefined && later !== undefined && (
        from && to ? <Difference id={id} from={from} to={to} /> : <Group><Button size="xs" variant="default" onClick={() => void change({})}>{t("Compare version {earlier} with {later}", { earlier, later })}</Button></Group>
      )}
    </Stack>
  );
}

const OPERATIONS: Record<string, string> = {
  "CREATE TABLE": t("Creation"),
  CREATE: t("Creation"),
  WRITE: t("Write"),
  MERGE: t("Merge"),
  DELETE: t("Deletion"),
  UPDATE: t("Update"),
  OPTIMIZE: t("Compaction"),
  "VACUUM START": t("Cleanup"),
  "VACUUM END": t("Cleanup"),
  RESTORE: t("Restore"),
};

function operation(name: string): string {
  return OPERATIONS[name] ?? name;
}

import { Button, Group, Skeleton, Stack, Text } from "@mantine/core";
import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { BASE, get } from "../../../api/http";
import { allowed } from "../../../api/platform";
import { Grid } from "../../../ui/Grid";
import { assetPath, versionNumber } from "./asset";
import { NoRows } from "./NoRows";
import { PolicyNote, VersionPicker } from "./VersionPicker";
import type { Preview } from "../../../api/generated/ai-catalog";
import { t } from "../../../language/text";

const ROUTE = "/ai-catalog/assets/$id" as const;
const PAGE = 500;
const EXPORT = "ai_catalog.asset.export";

/** The rows of an asset at a version. */
export function DataTab({ id }: { id: string }) {
  const { version } = useSearch({ from: ROUTE });
  const navigate = useNavigate({ from: ROUTE });
  const rows = useInfiniteQuery({
    queryKey: ["asset part", id, "preview", version],
    queryFn: ({ pageParam, signal }) => get<Preview>(assetPath(id, "/preview"), { query: { version: pageParam ? undefined : version, page_size: PAGE, page_token: pageParam }, signal }),
    initialPageParam: "",
    getNextPageParam: (page) => page.next_page_token || undefined,
    retry: false,
  });
  const first = rows.data?.pages[0];
  const shown = rows.data?.pages.flatMap((page) => page.rows) ?? [];
  return (
    <Stack gap="sm">
      <Group justify="space-between" align="flex-end">
        <VersionPicker id={id} label={t("Version")} value={version} onChange={(chosen) => void navigate({ search: (before) => ({ ...before, version: chosen }), replace: true })} />
        {first && (
          <Group gap="sm">
            <Text size="sm" c="dimmed" role="status">
              {t("{row_count, number} {row_count, plural, one {row} other {rows}} and {count} columns at version {data_version}", { row_count: first.row_count, count: first.columns.length, data_version: versionNumber(first.data_version) })}
            </Text>
            <Download id={id} version={first.data_version} />
          </Group>
        )}
      </Group>
      <PolicyNote id={id} />
      {rows.error && <NoRows id={id} error={rows.error} retry={() => void rows.refetch()} />}
      {rows.isPending && <Skeleton h={320} />}
      {first && shown.length > 0 && (
        <Grid
          key={first.data_version}
          label={t("Rows of {id}", { id })}
          columns={first.columns.map((column) => ({ name: column.name, note: column.type }))}
          rows={shown.map((row) => first.columns.map((column) => row[column.name]))}
        />
      )}
      {first && !shown.length && <Text c="dimmed">{t("This version has no rows that you can read.")}</Text>}
      {rows.hasNextPage && (
        <Group gap="sm">
          <Button variant="default" size="xs" loading={rows.isFetchingNextPage} onClick={() => rows.fetchNextPage()}>{t("Show {PAGE} more", { PAGE })}</Button>
          <Text size="sm" c="dimmed">{t("{count, number} rows are shown.", { count: shown.length })}</Text>
        </Group>
      )}
    </Stack>
  );
}

/** The rows of a version as a file. The browser reads it by itself, because it can be larger than the memory. */
function Download({ id, version }: { id: string; version: string }) {
  const { data: rights } = useQuery(allowed([EXPORT], { id, kind: "ai_catalog.asset" }));
  if (!rights?.has(EXPORT)) return <Button size="xs" variant="subtle" disabled title={rights && t("You need the permission {EXPORT}.", { EXPORT })}>{t("Download as Parquet")}</Button>;
  const address = `${BASE}${assetPath(id, "/export")}?version=${encodeURIComponent(version)}`;
  return <Button component="a" size="xs" variant="subtle" href={address} download={`${id}@${versionNumber(version)}.parquet`}>{t("Download as Parquet")}</Button>;
}

import { Button, Checkbox, Group, Stack, Table, Text, Title } from "@mantine/core";
import { useInfiniteQuery } from "@tanstack/react-query";
import { useState } from "react";
import { get } from "../api/http";
import { words } from "../api/schema";
import { rich, t } from "../language/text";
import { Time } from "../ui/Time";
import { Trouble } from "../ui/Trouble";
import { combined, path as pathOfChange, type Revision, text } from "./changes";
import classes from "./History.module.css";

interface Page {
  items: Revision[];
  next_page_token: string | null;
}

/** The revisions of an item, newest first, each with who made it and what it changed, side by side. */
export function History({ path }: { path: string }) {
  const [chosen, setChosen] = useState<number[]>([]);
  const revisions = useInfiniteQuery({
    queryKey: ["revisions", path],
    queryFn: ({ pageParam, signal }) => get<Page>(path, { query: { page_size: 50, page_token: pageParam }, signal }),
    initialPageParam: "",
    getNextPageParam: (page) => page.next_page_token || undefined,
    retry: false,
  });
  if (revisions.error) return <Trouble error={revisions.error} retry={() => revisions.refetch()} />;
  const items = revisions.data?.pages.flatMap((page) => page.items) ?? [];
  const toggle = (version: number) => setChosen((now) => (now.includes(version) ? now.filter((one) => one !== version) : [...now.slice(-1), version]));
  const [from, to] = [...chosen].sort((one, other) => one - other);
  return (
    <Stack gap="lg">
      <Text size="sm" c="dimmed">{t("Select two versions to see all differences between them.")}</Text>
      {from !== undefined && to !== undefined && (
        <section aria-label={t("Comparison")}>
          <Title order={2} mb="xs">{t("Version {from} and version {to}", { from, to })}</Title>
          <Changes changes={combined(items, from, to)} before={t("Version {from}", { from })} after={t("Version {to}", { to })} />
        </section>
      )}
      {items.map((one) => (
        <section key={one.version} aria-label={t("Version {version}", { version: one.version })}>
          <Group gap="sm" mb={4}>
            <Checkbox size="xs" checked={chosen.includes(one.version)} onChange={() => toggle(one.version)} aria-label={t("Compare version {version}", { version: one.version })} />
            <Text fw={600}>{t("Version {version}", { version: one.version })}</Text>
            <Text size="sm" c="dimmed">{rich("{action} by {by}, {time}", { action: words(one.action.split(".").at(-1) ?? one.action), by: one.by, time: <Time value={one.at} /> })}</Text>
          </Group>
          {one.changes.length > 0 ? <Changes changes={one.changes} before={t("Before")} after={t("After")} /> : <Text size="sm" c="dimmed">{t("No field changed.")}</Text>}
        </section>
      ))}
      {revisions.hasNextPage && <Button variant="default" size="xs" loading={revisions.isFetchingNextPage} onClick={() => revisions.fetchNextPage()}>{t("Show more")}</Button>}
    </Stack>
  );
}

function Changes({ changes, before, after }: { changes: Revision["changes"]; before: string; after: string }) {
  if (!changes.length) return <Text size="sm" c="dimmed">{t("They are the same.")}</Text>;
  return (
    <Table.ScrollContainer minWidth={520}>
      <Table layout="fixed" verticalSpacing={4} withTableBorder>
        <Table.Thead><Table.Tr><Table.Th w="22%">{t("Field")}</Table.Th><Table.Th>{before}</Table.Th><Table.Th>{after}</Table.Th></Table.Tr></Table.Thead>
        <Table.Tbody>
          {changes.map((change) => (
            <Table.Tr key={change.pointer}>
              <Table.Td style={{ overflowWrap: "anywhere" }}>{pathOfChange(change)}</Table.Td>
              <Table.Td className={classes.before}>{text(change.before)}</Table.Td>
              <Table.Td className={classes.after}>{text(change.after)}</Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </Table.ScrollContainer>
  );
}

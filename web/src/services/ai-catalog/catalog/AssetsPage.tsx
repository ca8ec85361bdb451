import { Anchor, Button, Group, Select, Stack, Text, TextInput, Title } from "@mantine/core";
import { keepPreviousData, useInfiniteQuery } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { useEffect, useRef, useState } from "react";
import { get } from "../../../api/http";
import { useLive } from "../../../api/live";
import { useShortcuts } from "../../../ui/pageKeys";
import { Time } from "../../../ui/Time";
import { Trouble } from "../../../ui/Trouble";
import { assetPage, namesOf } from "../asset/asset";
import { checksInWords, HEALTH_WORDS } from "../asset/state";
import classes from "./AssetsPage.module.css";
import { Facets } from "./Facets";
import { type CatalogSearch, chosenCount } from "./search";
import { PageButton } from "../../../ui/PageLink";
import type { AssetMatch as Match, AssetMatches as Matches } from "../../../api/generated/ai-catalog";
import { rich, t } from "../../../language/text";
import { State } from "../../../ui/State";
import { useKeys } from "../../../ui/useKeys";
import { useSoon } from "../../../ui/useSoon";

const ROUTE = "/assets" as const;
const PAGE = 50;
const SORTS = [{ value: "", label: t("Best match") }, { value: "name", label: t("Name") }, { value: "newest", label: t("Last written") }, { value: "health", label: t("Needs attention") }];

const KEYS = [
  { keys: ["j"], does: t("Next asset") },
  { keys: ["k"], does: t("Previous asset") },
  { keys: ["/"], does: t("Search") },
];

/** The catalog of assets: words, facets, and the state of what they leave. */
export function AssetsPage() {
  const search = useSearch({ from: ROUTE });
  const navigate = useNavigate({ from: ROUTE });
  const [text, setText] = useState(search.q ?? "");
  const [facetsOpen, setFacetsOpen] = useState(false);
  const input = useRef<HTMLInputElement>(null);
  const list = useRef<HTMLUListElement>(null);
  const change = (changed: CatalogSearch) => void navigate({ search: changed, replace: true });
  const typed = useSoon((q: string) => change({ ...search, q: q.trim() || undefined }), 200);
  useEffect(() => setText((now) => (now.trim() === (search.q ?? "") ? now : (search.q ?? ""))), [search.q]);
  const { q, sort, retired, ...facets } = search;
  const matches = useInfiniteQuery({
    queryKey: ["asset search", search],
    queryFn: ({ pageParam, signal }) => get<Matches>("/api/v1/ai-catalog/assets:search", { query: { ...facets, q, sort_by: sort, show_retired: retired, page_size: PAGE, page_token: pageParam }, signal }),
    initialPageParam: "",
    getNextPageParam: (page) => page.next_page_token || undefined,
    placeholderData: keepPreviousData,
    refetchInterval: 60_000,
    retry: false,
  });
  useLive(["ai_catalog.asset"], ["asset search"]);
  const items = matches.data?.pages.flatMap((page) => page.items) ?? [];
  const first = matches.data?.pages[0];
  const move = (step: number) => {
    const links = [...(list.current?.querySelectorAll<HTMLElement>("a[data-row]") ?? [])];
    const now = links.indexOf(document.activeElement as HTMLElement);
    links[Math.min(links.length - 1, Math.max(0, now + step))]?.focus();
  };
  useKeys({ j: () => move(1), k: () => move(-1), "/": () => input.current?.focus() });
  useShortcuts(KEYS);
  const count = chosenCount(search);
  return (
    <Stack gap="md">
      <Group justify="space-between" gap="xs">
        <Title order={1}>{t("Assets")}</Title>
        <PageButton to="/lineage" variant="default" size="xs">{t("Lineage")}</PageButton>
      </Group>
      <Group gap="xs">
        <TextInput
          ref={input}
          flex="1 1 240px"
          aria-label={t("Search assets")}
          placeholder={t("Search by name, description, column, or owner")}
          value={text}
          onChange={(event) => { setText(event.currentTarget.value); typed(event.currentTarget.value); }}
          onKeyDown={(event) => { if (event.key === "ArrowDown") { event.preventDefault(); move(1); } }}
        />
        <Select aria-label={t("Sort by")} w={160} data={SORTS} value={sort ?? ""} allowDeselect={false} onChange={(chosen) => change({ ...search, sort: chosen || undefined })} />
        <Button variant="default" hiddenFrom="md" onClick={() => setFacetsOpen(!facetsOpen)} aria-expanded={facetsOpen}>{t("Filters{count}", { count: count > 0 && ` (${count})` })}</Button>
      </Group>
      <div className={classes.columns}>
        <div className={classes.facets} data-open={facetsOpen || undefined}>
          {first && <Facets counts={first.facets} search={search} onChange={change} />}
        </div>
        <Stack gap="xs" style={{ minWidth: 0 }}>
          {matches.error && <Trouble error={matches.error} retry={() => void matches.refetch()} />}
          {first && (
            <Group justify="space-between" gap="xs">
              <Text size="sm" c="dimmed" role="status">
                {t("{total, plural, one {One asset} other {{total, number} assets}}", { total: first.total })}{first.typos && t(". No asset has these words; these have similar ones.")}
              </Text>
              {(count > 0 || q) && <Button size="compact-xs" variant="subtle" onClick={() => { setText(""); change({ sort }); }}>{t("Clear the search")}</Button>}
            </Group>
          )}
          <ul ref={list} className={classes.list} aria-label={t("Assets")} aria-busy={matches.isPending}>
            {items.map((one) => <Row key={one.id} asset={one} />)}
          </ul>
          {first && !items.length && <Empty searched={count > 0 || Boolean(q)} />}
          {matches.hasNextPage && <Button variant="default" loading={matches.isFetchingNextPage} onClick={() => matches.fetchNextPage()}>{t("Show more")}</Button>}
        </Stack>
      </div>
    </Stack>
  );
}

function Row({ asset }: { asset: Match }) {
  const { project, layer, name } = namesOf(asset.id);
  const checks = checksInWords(asset.checks);
  const health = asset.running ? "RUNNING" : asset.health;
  return (
    <li className={classes.row}>
      <div style={{ minWidth: 0 }}>
        <Group gap={6} wrap="nowrap">
          <Anchor renderRoot={(props) => <Link {...props} to={assetPage(asset.id)} data-row />} fw={600} size="sm" style={{ overflowWrap: "anywhere" }}>{name}</Anchor>
          <Text size="xs" c="dimmed" truncate="end">{project} · {layer}</Text>
        </Group>
        <Text size="sm" c="dimmed" lineClamp={1}>{asset.title || asset.description}</Text>
      </div>
      <Stack gap={2} className={classes.state}>
        <Group gap={6}>
          <State value={health} title={asset.health_reasons.join("; ") || undefined}>{HEALTH_WORDS[health] ?? health}</State>
          {asset.materialized_at && <Text size="xs" c="dimmed">{rich("written {time}", { time: <Time value={asset.materialized_at} /> })}</Text>}
        </Group>
        <Text size="xs" c="dimmed">{checks ? t("Checks: {checks}", { checks }) : t("No checks")}</Text>
      </Stack>
    </li>
  );
}

function Empty({ searched }: { searched: boolean }) {
  if (searched) return <Text c="dimmed" ta="center" py="xl">{t("No asset matches. Take a filter away, or search for other words.")}</Text>;
  return (
    <Stack align="center" py="xl" gap="sm">
      <Text c="dimmed">{t("There are no assets that you can see.")}</Text>
      <Group gap="xs">
        <PageButton to="/ai-catalog/definitions/new" variant="default">{t("Define the first one")}</PageButton>
        <PageButton to="/ai-catalog/access-requests" variant="default">{t("Access requests")}</PageButton>
      </Group>
    </Stack>
  );
}


import { Button, Group, Menu, Pill, Stack, Text, TextInput, Title } from "@mantine/core";
import { useInfiniteQuery, useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { type KeyboardEvent, useCallback, useEffect, useMemo, useRef, useState } from "react";
import { get } from "../api/http";
import { useChanged } from "../api/live";
import { allowedSomewhere, catalogues, kindOf, type KindEntry, method, openApi } from "../api/platform";
import { useChangePreferences, usePreferences } from "../api/preferences";
import { words } from "../api/schema";
import { t } from "../language/text";
import { Marked } from "../ui/Marked";
import { NewPill } from "../ui/NewPill";
import { useShortcuts } from "../ui/pageKeys";
import { Trouble } from "../ui/Trouble";
import { useKeys } from "../ui/useKeys";
import { useLate } from "../ui/useLate";
import { BulkBar } from "./BulkBar";
import { columnsOf, columnTitle, defaultColumns, itemSchema } from "./columns";
import { filterFields, inWords, parts } from "./conditions";
import { FilterBuilder } from "./FilterBuilder";
import { idOf, type ItemOfList, ItemTable, TableSkeleton } from "./ItemTable";
import { fullName } from "./operations";
import { Peek } from "./Peek";
import { SavedFilters } from "./SavedFilters";

interface Page {
  items: ItemOfList[];
  next_page_token: string | null;
  total_size?: number | null;
}

export interface ListSearch {
  filter?: string;
  order_by?: string;
  columns?: string;
  /** The item in the side view. */
  peek?: string;
}

/** The first page is small, so that it is there at once. Those after it are read while the user scrolls. */
const FIRST_PAGE = 100;
const NEXT_PAGE = 1000;
const ROW_HEIGHT = { COMFORTABLE: 36, COMPACT: 28 };
const KEYS = [
  { keys: ["j", "↓"], does: t("Next item") },
  { keys: ["k", "↑"], does: t("Previous item") },
  { keys: [t("Enter")], does: t("Open the item at the side, then its page") },
  { keys: ["e"], does: t("Edit the item") },
  { keys: ["x"], does: t("Select the item") },
  { keys: ["c"], does: t("Create an item") },
  { keys: ["/"], does: t("Filter") },
];

/** The items of a kind: filtered, ordered, and with the columns that the address names. */
export function ItemList() {
  const { service, plural } = useParams({ from: "/$service/$plural" });
  const { data: found } = useQuery(catalogues);
  if (!found) return null;
  const kind = kindOf(found, service, plural);
  if (!kind) return <Text>{t("There is no kind {plural} in {service}.", { plural, service })}</Text>;
  if (!method(kind, "list")) return <Text>{t("Items of this kind can't be listed.")}</Text>;
  return <List key={`${service}/${plural}`} service={service} kind={kind} />;
}

function List({ service, kind }: { service: string; kind: KindEntry }) {
  const { plural } = kind;
  const place = `${service}/${plural}`;
  const search = useSearch({ from: "/$service/$plural" });
  const navigate = useNavigate({ from: "/$service/$plural" });
  const queries = useQueryClient();
  const { data: document } = useQuery(openApi(service));
  const listing = method(kind, "list");
  const creating = method(kind, "create");
  const { data: canCreate = false, isSuccess: isDecided } = useQuery(allowedSomewhere(creating?.permission ?? ""));
  const preferences = usePreferences();
  const changePreferences = useChangePreferences();
  const [text, setText] = useState(search.filter ?? "");
  const [selected, setSelected] = useState(new Set<string>());
  const [current, setCurrent] = useState(-1);
  useShortcuts(KEYS);
  const [doing, setDoing] = useState<string>();
  const [changed, clearChanged] = useChanged([fullName(service, kind)]);
  const input = useRef<HTMLInputElement>(null);
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => setText(search.filter ?? ""), [search.filter]);

  const counts = listing?.query === "ResourceQuery";
  const key = ["items", service, plural, search.filter, search.order_by];
  const pages = useInfiniteQuery({
    queryKey: key,
    queryFn: ({ pageParam, signal }) => {
      const query = { filter: search.filter, order_by: search.order_by, page_size: pageParam ? NEXT_PAGE : FIRST_PAGE, page_token: pageParam, total: counts && !pageParam ? true : undefined };
      return get<Page>(listing?.path ?? "", { query, signal });
    },
    initialPageParam: "",
    getNextPageParam: (page) => page.next_page_token || undefined,
    retry: false,
  });
  const late = useLate(pages.isPending);
  const { hasNextPage, isFetchingNextPage, fetchNextPage } = pages;
  const onEnd = useCallback(() => {
    if (hasNextPage && !isFetchingNextPage) void fetchNextPage();
  }, [hasNextPage, isFetchingNextPage, fetchNextPage]);

  const schemas = document?.components.schemas ?? {};
  const item = itemSchema(schemas, listing?.result);
  const known = item ? columnsOf(item, schemas) : [];
  const kept = preferences?.columns[place];
  const chosen = search.columns ? search.columns.split(",") : kept?.length ? kept : defaultColumns(known);
  const columns = chosen.filter((name) => known.includes(name));
  const items = useMemo(() => pages.data?.pages.flatMap((page) => page.items) ?? [], [pages.data]);
  const total = pages.data?.pages[0]?.total_size;
  const change = (changes: ListSearch) => void navigate({ search: (before) => ({ ...before, ...changes }), replace: true });
  const showColumns = (names: string[]) => {
    change({ columns: names.join(",") || undefined });
    void changePreferences((now) => ({ columns: { ...now.columns, [place]: names } }));
  };
  const peek = (id: string | undefined) => {
    setDoing(undefined);
    change({ peek: id });
  };
  const hasPage = Boolean(method(kind, "get"));
  const pageOf = (id: string) => `/${place}/${encodeURIComponent(id)}`;
  const go = (step: number) => {
    const next = Math.min(items.length - 1, Math.max(0, current + step));
    setCurrent(next);
    const one = items[next];
    if (search.peek && one) peek(idOf(one));
  };
  const at = items[current];
  useKeys({
    j: () => go(1),
    k: () => go(-1),
    Escape: () => search.peek && peek(undefined),
    e: () => {
      if (!at) return;
      peek(idOf(at));
      requestAnimationFrame(() => setDoing("update"));
    },
    x: () => at && setSelected(toggled(selected, idOf(at))),
    c: () => canCreate && void navigate({ to: `/${place}/new` }),
    "/": () => input.current?.focus(),
  });
  // These keys belong to the rows: a focused link or button has its own.
  const onKeyDown = (event: KeyboardEvent) => {
    if (!(event.target as HTMLElement).matches("tr, [role=region]")) return;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      go(event.key === "ArrowDown" ? 1 : -1);
    }
    if (event.key !== "Enter" || !at) return;
    if (search.peek === idOf(at) && hasPage) void navigate({ to: pageOf(idOf(at)) });
    else peek(idOf(at));
  };
  const fields = filterFields(kind, item, schemas);
  const conditions = parts(search.filter ?? "");
  const noun = words(plural).toLowerCase();
  const create = creating && (
    <Button component={Link} to={`/${place}/new`} disabled={!canCreate} title={isDecided && !canCreate ? t("You need the permission {permission}.", { permission: creating.permission }) : undefined}>
      {t("Create {title}", { title: kind.title.toLowerCase() })}
    </Button>
  );

  return (
    <Stack gap="sm" onKeyDown={onKeyDown}>
      <Group justify="space-between" align="flex-start">
        <div>
          <Title order={1}>{words(plural)}</Title>
          <Text size="sm" c="dimmed"><Marked text={kind.description} /></Text>
        </div>
        {create}
      </Group>
      <Group component="form" gap="xs" align="flex-end" onSubmit={(event) => { event.preventDefault(); change({ filter: text || undefined }); }}>
        {kind.filter_by.length > 0 && (
          <>
            <TextInput
              ref={input}
              flex={1}
              miw={180}
              aria-label={t("Filter")}
              placeholder={t("Filter by {filter_by}", { filter_by: kind.filter_by.slice(0, 3).join(", ") })}
              value={text}
              onChange={(event) => setText(event.currentTarget.value)}
              ff="monospace"
            />
            <FilterBuilder fields={fields} onAdd={(added) => change({ filter: text ? `${text} && ${added}` : added })} />
          </>
        )}
        <SavedFilters
          list={place}
          present={{ filter: search.filter ?? "", order_by: search.order_by ?? "", columns }}
          onChoose={(saved) => change({ filter: saved.filter || undefined, order_by: saved.order_by || undefined, columns: saved.columns?.join(",") || undefined })}
        />
        <Menu closeOnItemClick={false} position="bottom-end">
          <Menu.Target><Button variant="default">{t("Columns")}</Button></Menu.Target>
          <Menu.Dropdown mah={400} style={{ overflowY: "auto" }}>
            {known.map((name) => (
              <Menu.CheckboxItem key={name} checked={columns.includes(name)} onChange={() => showColumns(columns.includes(name) ? columns.filter((one) => one !== name) : [...columns, name])}>
                {columnTitle(name)}
              </Menu.CheckboxItem>
            ))}
          </Menu.Dropdown>
        </Menu>
      </Group>
      <Group gap="xs">
        {conditions.map((one, number) => (
          <Pill key={one} size="md" withRemoveButton title={one} removeButtonProps={{ "aria-label": t("Remove the condition {one}", { one: inWords(one) }), "aria-hidden": false, tabIndex: 0 }} onRemove={() => change({ filter: conditions.filter((_, other) => other !== number).join(" && ") || undefined })}>
            {inWords(one)}
          </Pill>
        ))}
        <Text size="sm" c="dimmed" role="status">
          {pages.isSuccess && items.length > 0 && `${(total ?? items.length).toLocaleString()}${total == null && hasNextPage ? t(" or more") : ""} ${(total ?? items.length) === 1 ? kind.title.toLowerCase() : noun}`}
        </Text>
        <NewPill count={changed} noun={[kind.title.toLowerCase(), noun]} onShow={() => { clearChanged(); void queries.invalidateQueries({ queryKey: key }); }} />
      </Group>
      <BulkBar service={service} kind={kind} items={items.filter((one) => selected.has(idOf(one)))} onClear={() => setSelected(new Set())} />
      {pages.error && <Trouble error={pages.error} retry={() => pages.refetch()} />}
      {late && <TableSkeleton />}
      {pages.isSuccess && items.length > 0 && (
        <ItemTable
          label={words(plural)}
          items={items}
          columns={columns}
          orders={kind.order_by}
          order={search.order_by}
          onOrder={(name) => change({ order_by: search.order_by === name ? `${name} desc` : name })}
          item={item}
          schemas={schemas}
          rowHeight={ROW_HEIGHT[preferences?.density ?? "COMFORTABLE"]}
          busy={pages.isFetching}
          pageOf={hasPage ? pageOf : undefined}
          selected={hasPage ? selected : undefined}
          onSelect={setSelected}
          current={current}
          onCurrent={setCurrent}
          onPeek={(id) => hasPage && peek(id)}
          onEnd={onEnd}
          box={box}
        />
      )}
      {pages.isSuccess && !items.length && (
        <Stack align="center" py="xl">
          <Text c="dimmed" ta="center">{search.filter ? t("No items match this filter.") : t("There are no {noun} that you can see.", { noun })}</Text>
          {search.filter ? <Button variant="default" onClick={() => change({ filter: undefined })}>{t("Remove the filter")}</Button> : canCreate && create}
        </Stack>
      )}
      {search.peek && hasPage && <Peek key={search.peek} service={service} plural={plural} id={search.peek} doing={doing} page={pageOf(search.peek)} onClose={() => peek(undefined)} />}
    </Stack>
  );
}

function toggled(set: Set<string>, id: string): Set<string> {
  const changed = new Set(set);
  if (!changed.delete(id)) changed.add(id);
  return changed;
}

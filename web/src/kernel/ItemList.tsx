import { Anchor, Button, Group, Menu, Stack, Table, Text, TextInput, Title, UnstyledButton } from "@mantine/core";
import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { useState } from "react";
import { get } from "../api/http";
import { allowed, catalogues, kindOf, method, openApi } from "../api/platform";
import { field, valueAt, words } from "../api/schema";
import { Value } from "../fields/Value";
import { Marked } from "../ui/Marked";
import { Trouble } from "../ui/Trouble";
import { columnsOf, defaultColumns } from "./columns";
import { FilterBuilder } from "./FilterBuilder";

interface Page {
  items: Record<string, unknown>[];
  next_page_token: string | null;
}

export interface ListSearch {
  filter?: string;
  order_by?: string;
  columns?: string;
}

/** The items of a kind: filtered, ordered, and with the columns that the address names. */
export function ItemList() {
  const { service, plural } = useParams({ from: "/$service/$plural" });
  const search = useSearch({ from: "/$service/$plural" });
  const navigate = useNavigate({ from: "/$service/$plural" });
  const { data: found } = useQuery(catalogues);
  const kind = found && kindOf(found, service, plural);
  const { data: document } = useQuery(openApi(service));
  const listing = kind && method(kind, "list");
  const creating = kind && method(kind, "create");
  const { data: rights } = useQuery(allowed(creating ? [creating.permission] : [], null));
  const [text, setText] = useState(search.filter ?? "");
  const pages = useInfiniteQuery({
    queryKey: ["items", service, plural, search.filter, search.order_by],
    queryFn: ({ pageParam, signal }) => {
      const query = { filter: search.filter, order_by: search.order_by, page_size: 100, page_token: pageParam };
      return get<Page>(listing?.path ?? "", { query, signal });
    },
    initialPageParam: "",
    getNextPageParam: (page) => page.next_page_token || undefined,
    enabled: Boolean(listing),
    retry: false,
  });

  if (!found) return null;
  if (!kind) return <Text>There is no kind {plural} in {service}.</Text>;
  if (!listing) return <Text>Items of this kind can't be listed.</Text>;
  const schemas = document?.components.schemas ?? {};
  const item = itemSchema(schemas, listing.result);
  const known = item ? columnsOf(item, schemas) : [];
  const chosen = search.columns ? search.columns.split(",") : defaultColumns(known);
  const columns = chosen.filter((name) => known.includes(name));
  const items = pages.data?.pages.flatMap((page) => page.items) ?? [];
  const change = (changed: ListSearch) => navigate({ search: (before) => ({ ...before, ...changed }), replace: true });
  const order = (name: string) => change({ order_by: search.order_by === name ? `${name} desc` : name });

  return (
    <Stack gap="md">
      <Group justify="space-between" align="flex-start">
        <div>
          <Title order={1}>{words(plural)}</Title>
          <Text size="sm" c="dimmed"><Marked text={kind.description} /></Text>
        </div>
        {creating && (
          <Button
            component={Link}
            to={`/${service}/${plural}/new`}
            disabled={rights ? !rights.has(creating.permission) : true}
            title={rights && !rights.has(creating.permission) ? `You need the permission ${creating.permission}.` : undefined}
          >
            Create {kind.title.toLowerCase()}
          </Button>
        )}
      </Group>
      <Group component="form" gap="xs" align="flex-end" onSubmit={(event) => { event.preventDefault(); change({ filter: text || undefined }); }}>
        <TextInput
          flex={1}
          aria-label="Filter"
          placeholder={kind.filter_by.length ? `Filter by ${kind.filter_by.slice(0, 5).join(", ")}` : "This kind has no filter"}
          disabled={!kind.filter_by.length}
          value={text}
          onChange={(event) => setText(event.currentTarget.value)}
          ff="monospace"
        />
        {kind.filter_by.length > 0 && <FilterBuilder fields={kind.filter_by} onAdd={(condition) => {
          const combined = text ? `${text} && ${condition}` : condition;
          setText(combined);
          change({ filter: combined });
        }} />}
        <Menu closeOnItemClick={false} position="bottom-end">
          <Menu.Target><Button variant="default">Columns</Button></Menu.Target>
          <Menu.Dropdown mah={400} style={{ overflowY: "auto" }}>
            {known.map((name) => (
              <Menu.Item
                key={name}
                role="menuitemcheckbox"
                aria-checked={columns.includes(name)}
                onClick={() => change({ columns: (columns.includes(name) ? columns.filter((one) => one !== name) : [...columns, name]).join(",") || undefined })}
              >
                {columns.includes(name) ? "✓ " : "\u2003"}{words(name.split(".").at(-1) ?? name)}
              </Menu.Item>
            ))}
          </Menu.Dropdown>
        </Menu>
      </Group>
      {pages.error && <Trouble error={pages.error} retry={() => pages.refetch()} />}
      {!pages.error && (
        <Table.ScrollContainer minWidth={480}>
          <Table highlightOnHover verticalSpacing={6} aria-busy={pages.isPending}>
            <Table.Thead>
              <Table.Tr>
                {columns.map((name) => (
                  <Table.Th key={name} aria-sort={sorting(search.order_by, name)}>
                    {kind.order_by.includes(name) ? (
                      <UnstyledButton fz="sm" fw={600} onClick={() => order(name)}>
                        {words(name.split(".").at(-1) ?? name)} {arrow(search.order_by, name)}
                      </UnstyledButton>
                    ) : words(name.split(".").at(-1) ?? name)}
                  </Table.Th>
                ))}
              </Table.Tr>
            </Table.Thead>
            <Table.Tbody>
              {items.map((one) => (
                <Table.Tr key={String(one.id ?? one.name)}>
                  {columns.map((name, position) => (
                    <Table.Td key={name}>
                      {position === 0 && method(kind, "get") ? (
                        <Anchor renderRoot={(props) => <Link {...props} to="/$service/$plural/$id" params={{ service, plural, id: String(one.id ?? one.name) }} />}>
                          {String(valueAt(one, name) ?? one.id)}
                        </Anchor>
                      ) : (
                        <Value value={valueAt(one, name)} field={fieldAt(item, name, schemas)} compact />
                      )}
                    </Table.Td>
                  ))}
                </Table.Tr>
              ))}
            </Table.Tbody>
          </Table>
        </Table.ScrollContainer>
      )}
      {pages.isSuccess && !items.length && (
        <Text c="dimmed" ta="center" py="xl">
          {search.filter ? "No items match this filter." : `There are no ${words(plural).toLowerCase()} that you can see.`}
        </Text>
      )}
      {pages.hasNextPage && (
        <Button variant="default" loading={pages.isFetchingNextPage} onClick={() => pages.fetchNextPage()}>Show more</Button>
      )}
    </Stack>
  );
}

function itemSchema(schemas: Parameters<typeof columnsOf>[1], result: string | null) {
  const name = schemas[result ?? ""]?.properties?.items?.items?.$ref?.split("/").at(-1);
  return schemas[name ?? ""];
}

function fieldAt(item: Parameters<typeof columnsOf>[0] | undefined, path: string, schemas: Parameters<typeof columnsOf>[1]) {
  let schema = item;
  for (const key of path.split(".")) schema = schema && field(schema, schemas).schema.properties?.[key];
  return schema && field(schema, schemas);
}

function sorting(order: string | undefined, name: string): "ascending" | "descending" | "none" {
  if (order === name) return "ascending";
  return order === `${name} desc` ? "descending" : "none";
}

function arrow(order: string | undefined, name: string): string {
  return { ascending: "↑", descending: "↓", none: "" }[sorting(order, name)];
}

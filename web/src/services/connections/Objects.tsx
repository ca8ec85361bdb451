import { Anchor, Breadcrumbs, Button, Code, Stack, Text, UnstyledButton } from "@mantine/core";
import { useInfiniteQuery } from "@tanstack/react-query";
import type { Discovered, DiscoveredPage } from "../../api/generated/connections";
import { send } from "../../api/http";
import { t } from "../../language/text";
import { bytes } from "../../ui/quantities";
import { Rows } from "../../ui/Rows";
import { TableSkeleton } from "../../kernel/ItemTable";
import { Trouble } from "../../ui/Trouble";
import { useLate } from "../../ui/useLate";
import { PATH } from "./connections";

const KINDS: Record<string, string> = { table: t("Table"), view: t("View"), folder: t("Folder"), object: t("Object") };

interface Props {
  id: string;
  /** The schema or the folders whose content is shown. */
  below: string[];
  onBelow: (below: string[]) => void;
}

/** What a connection leads to: tables with their columns, or folders and objects. */
export function Objects({ id, below, onBelow }: Props) {
  const pages = useInfiniteQuery({
    queryKey: ["discovered", id, below],
    queryFn: async ({ pageParam, signal }) => (await send<DiscoveredPage>("POST", `${PATH}/${id}:discover`, { body: { below, page_token: pageParam }, signal })).body,
    initialPageParam: "",
    getNextPageParam: (page) => page.next_page_token || undefined,
    retry: false,
    staleTime: 60_000,
  });
  const late = useLate(pages.isPending);
  const found = pages.data?.pages.flatMap((page) => page.items) ?? [];
  return (
    <Stack gap="sm">
      <Breadcrumbs>
        <Anchor component="button" type="button" size="sm" onClick={() => onBelow([])}>{t("Everything")}</Anchor>
        {below.map((part, depth) => <Anchor key={`${depth} ${part}`} component="button" type="button" size="sm" onClick={() => onBelow(below.slice(0, depth + 1))}>{part}</Anchor>)}
      </Breadcrumbs>
      {late && <TableSkeleton />}
      {pages.error && <Trouble error={pages.error} retry={() => pages.refetch()} />}
      {pages.data && (
        <Rows
          label={t("What the connection leads to")}
          columns={[t("Name"), t("Kind"), t("Columns"), t("Key"), t("Size")]}
          empty={t("There is nothing that the connection may see.")}
          rows={found.map((one) => ({ id: one.path.join("/"), cells: [<Named key="name" one={one} below={below} onBelow={onBelow} />, KINDS[one.kind] ?? one.kind, <Columns key="columns" one={one} />, one.key.join(", ") || null, one.size === null || one.size === undefined ? null : bytes(one.size)] }))}
        />
      )}
      {pages.hasNextPage && <div><Button variant="default" loading={pages.isFetchingNextPage} onClick={() => pages.fetchNextPage()}>{t("Show more")}</Button></div>}
    </Stack>
  );
}

function Named({ one, below, onBelow }: { one: Discovered } & Omit<Props, "id">) {
  const rest = one.path.slice(below.length).join(one.kind === "table" || one.kind === "view" ? "." : "/") || one.path.at(-1);
  if (one.kind === "folder") return <Anchor component="button" type="button" size="sm" onClick={() => onBelow(one.path)}>{rest}/</Anchor>;
  return <Code>{rest}</Code>;
}

const SHOWN = 4;

function Columns({ one }: { one: Discovered }) {
  if (!one.columns.length) return null;
  const text = one.columns.map((column) => `${column.name} ${column.type}${column.nullable ? "" : ` ${t("not null")}`}`);
  const rest = text.length - SHOWN;
  return (
    <UnstyledButton component="span" title={text.join("\n")}>
      <Text span size="sm">{text.slice(0, SHOWN).join(", ")}{rest > 0 && <Text span c="dimmed" size="sm"> {t("and {rest} more", { rest })}</Text>}</Text>
    </UnstyledButton>
  );
}

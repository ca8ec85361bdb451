import { Group, Select, Text } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { useQueries, useQuery } from "@tanstack/react-query";
import { type ReactNode, useState } from "react";
import { get } from "../api/http";
import { type Catalogue, catalogues, type KindEntry, method } from "../api/platform";
import { nameOf, targetOf } from "../api/references";
import { fullName } from "../kernel/operations";
import { t } from "../language/text";

interface Props {
  label: string;
  description?: ReactNode;
  placeholder?: string;
  /** Kinds to choose from, such as `admin.group`. */
  kinds: string[];
  /** Id of the chosen item. Empty if there is none. */
  value: string;
  onChange: (id: string) => void;
  required?: boolean;
  error?: string;
  /** A condition on the items, as a filter. */
  only?: string;
  /** Ids that can't be chosen. */
  without?: string[];
}

interface Found {
  id: string;
  name: string;
  organization_id?: string | null;
}

const SHOWN = 20;
export const PRINCIPALS = ["admin.user", "admin.group", "admin.service_account"];

/** A choice among the items of some kinds, found by a part of their name. */
export function Picker({ kinds, value, onChange, only, without = [], required, ...common }: Props) {
  const [typed, setTyped] = useState("");
  const [search] = useDebouncedValue(typed, 200);
  const { data } = useQuery(catalogues);
  const { data: name } = useQuery(nameOf(data && value ? targetOf(data, kinds, value) : undefined, value));
  const shown = name ?? value;
  const sought = search === shown ? "" : search.trim();
  const listed = kindsOf(data ?? [], kinds);
  const pages = useQueries({
    queries: listed.map(({ kind }) => {
      const path = method(kind, "list")?.path ?? "";
      const filter = [only, sought && `name.contains(${JSON.stringify(sought)})`].filter(Boolean).join(" && ");
      return {
        queryKey: ["items", "admin", "picker", path, filter],
        queryFn: ({ signal }: { signal: AbortSignal }) => get<{ items: Found[] }>(path, { query: { filter, fields: "id,name,organization_id", page_size: SHOWN }, signal }),
        retry: false,
      };
    }),
  });
  const groups = listed.map(({ kind }, number) => ({ kind, items: (pages[number]?.data?.items ?? []).filter((one) => !without.includes(one.id)) }));
  const every = groups.flatMap(({ items }) => items);
  const places = new Map(every.map((one) => [one.id, one.organization_id]));
  const isFound = every.some((one) => one.id === value);
  const options = groups.map(({ kind, items }) => ({ group: `${kind.title}s`, items: items.map((one) => ({ value: one.id, label: one.name })) })).filter(({ items }) => items.length);
  return (
    <Select
      {...common}
      withAsterisk={required}
      clearable={!required}
      searchable
      nothingFoundMessage={pages.some((one) => one.isPending) ? t("Loading") : t("There is nothing of this name that you can see.")}
      data={[...(value && !isFound ? [{ value, label: shown }] : []), ...(listed.length > 1 ? options : options.flatMap(({ items }) => items))]}
      // The platform has searched already.
      filter={({ options: found }) => found}
      value={value || null}
      onChange={(chosen) => onChange(chosen ?? "")}
      searchValue={typed}
      onSearchChange={setTyped}
      renderOption={({ option }) => <Option label={option.label} organization={places.get(option.value)} found={data} />}
    />
  );
}

/** Names are unique in their organization only. */
function Option({ label, organization, found }: { label: string; organization?: string | null; found?: Catalogue[] }) {
  const id = organization ?? "";
  const { data: name } = useQuery(nameOf(found && id ? targetOf(found, ["admin.organization"], id) : undefined, id));
  return (
    <Group justify="space-between" gap="xs" wrap="nowrap" flex={1}>
      <Text size="sm" truncate>{label}</Text>
      {id && <Text size="xs" c="dimmed" truncate>{name ?? id}</Text>}
    </Group>
  );
}

/** Those of the kinds whose items can be found by name. */
function kindsOf(found: Catalogue[], kinds: string[]): { service: string; kind: KindEntry }[] {
  const every = found.flatMap(({ service, items }) => items.map((kind) => ({ service, kind })));
  return kinds.flatMap((name) => every.filter(({ service, kind }) => fullName(service, kind) === name && method(kind, "list")?.query === "ResourceQuery"));
}

import { Autocomplete, type AutocompleteProps } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { useQueries, useQuery } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { get } from "../api/http";
import { catalogues, method } from "../api/platform";
import { nameOf, targetOf } from "../api/references";
import { t } from "../language/text";

interface Props {
  label: string;
  description?: ReactNode;
  error?: string;
  kinds: string[];
  value: string;
  onChange: (value: string) => void;
  comboboxProps?: AutocompleteProps["comboboxProps"];
}

/** A text input that suggests names of these kinds. The API accepts a name or an id. */
export function ReferenceInput({ kinds, value, onChange, description, ...common }: Props) {
  const [typed] = useDebouncedValue(value, 200);
  const { data } = useQuery(catalogues);
  const isId = /^[a-z]{3}_/.test(typed);
  const { data: name } = useQuery(nameOf(data && isId ? targetOf(data, kinds, typed) : undefined, typed));
  const lists = (data ?? []).flatMap((service) =>
    service.items
      .filter((kind) => kinds.includes(`${service.service.replaceAll("-", "_")}.${kind.name}`) && kind.filter_by.includes("name"))
      .flatMap((kind) => method(kind, "list")?.path ?? []),
  );
  const pages = useQueries({
    queries: lists.map((path) => {
      const query = { filter: typed ? `name.startsWith(${JSON.stringify(typed)})` : "", page_size: 20 };
      return {
        queryKey: ["suggestions", path, typed],
        queryFn: ({ signal }: { signal: AbortSignal }) => get<{ items: { name: string }[] }>(path, { query, signal }),
        retry: false,
      };
    }),
  });
  const names = new Set(pages.flatMap((page) => page.data?.items.map((one) => one.name) ?? []));
  return <Autocomplete {...common} description={name ? t("{description}Now: {name}.", { description: description ? `${description} ` : "", name }) : description} data={[...names]} value={value} onChange={onChange} spellCheck={false} />;
}

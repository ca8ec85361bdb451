import { Stack, Table, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { get } from "../api/http";
import { field, type Schema, type Schemas, words } from "../api/schema";
import { Value } from "../fields/Value";
import { Trouble } from "../ui/Trouble";
import { Fields } from "./Item";
import { isRecord } from "./values";

/** A part of an item. One with `items` is a table, any other shows its fields. */
export function Part({ path, summary, schemas, result }: { path: string; summary: string; schemas: Schemas; result: string | null }) {
  const part = useQuery({
    queryKey: ["part", path],
    queryFn: ({ signal }) => get<Record<string, unknown>>(path, { signal }),
    retry: false,
  });
  const schema = schemas[result ?? ""];
  return (
    <Stack gap="sm">
      <Text size="sm" c="dimmed">{summary}</Text>
      {part.error && <Trouble error={part.error} retry={() => part.refetch()} />}
      {part.data && schema && <Content data={part.data} schema={schema} schemas={schemas} />}
    </Stack>
  );
}

function Content({ data, schema, schemas }: { data: Record<string, unknown>; schema: Schema; schemas: Schemas }) {
  const items = schema.properties?.items;
  if (!items || !Array.isArray(data.items)) return <Fields item={data} schema={schema} schemas={schemas} />;
  const row = items.items && field(items.items, schemas).schema;
  const columns = Object.entries(row?.properties ?? {});
  const rows = data.items.filter(isRecord);
  const rest = { ...schema, properties: Object.fromEntries(Object.entries(schema.properties ?? {}).filter(([name]) => !["items", "next_page_token", "total"].includes(name))) };
  return (
    <Stack>
      {Object.keys(rest.properties).length > 0 && <Fields item={data} schema={rest} schemas={schemas} />}
      {!rows.length && <Text c="dimmed">There are none.</Text>}
      {rows.length > 0 && (
        <Table.ScrollContainer minWidth={480}>
          <Table verticalSpacing={4}>
            <Table.Thead><Table.Tr>{columns.map(([name]) => <Table.Th key={name}>{words(name)}</Table.Th>)}</Table.Tr></Table.Thead>
            <Table.Tbody>
              {rows.map((one, number) => (
                <Table.Tr key={String(one.id ?? number)}>
                  {columns.map(([name, inner]) => <Table.Td key={name}><Value value={one[name]} field={field(inner, schemas)} compact /></Table.Td>)}
                </Table.Tr>
              ))}
            </Table.Tbody>
          </Table>
        </Table.ScrollContainer>
      )}
    </Stack>
  );
}

import { Button, Group, Stack, Table, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { get, type Options, Problem } from "../api/http";
import { type OpenApi, type OperationEntry, pathOf, querySchema } from "../api/platform";
import { field, orderedFields, type Schema, type Schemas, words } from "../api/schema";
import { Input } from "../fields/Input";
import { Value } from "../fields/Value";
import { t } from "../language/text";
import { Trouble } from "../ui/Trouble";
import { Fields } from "./Fields";
import { defaults, isRecord } from "./values";

/** A part of an item, with its parameters. One with `items` is a table, any other shows its fields. */
export function Part({ id, operation, document }: { id: string; operation: OperationEntry; document: OpenApi }) {
  const schemas = document.components.schemas;
  const parameters = querySchema(document, operation);
  const names = orderedFields(parameters);
  const [entered, setEntered] = useState<Record<string, unknown>>(() => defaults(parameters, schemas));
  const [sent, setSent] = useState(entered);
  const complete = (parameters.required ?? []).every((name) => ![undefined, null, ""].includes(sent[name] as null));
  const path = pathOf(operation, id);
  const part = useQuery({
    queryKey: ["part", path, sent],
    queryFn: ({ signal }) => get<Record<string, unknown>>(path, { query: sent as Options["query"], signal }),
    enabled: complete,
    retry: false,
  });
  const problem = part.error instanceof Problem ? part.error : null;
  const faults = Object.fromEntries(problem?.faults.map((fault) => [fault.pointer, fault.detail]) ?? []);
  const schema = schemas[operation.result ?? ""];
  const apply = (event: FormEvent) => {
    event.preventDefault();
    setSent(entered);
  };
  return (
    <Stack gap="sm">
      <Text size="sm" c="dimmed">{operation.summary}</Text>
      {names.length > 0 && (
        <form onSubmit={apply}>
          <Group align="flex-end">
            {names.map(([name, inner]) => (
              <Input
                key={name}
                name={name}
                schema={{ ...inner, description: undefined }}
                schemas={schemas}
                required={parameters.required?.includes(name) ?? false}
                value={entered[name]}
                onChange={(changed) => setEntered((before) => ({ ...before, [name]: changed }))}
                faults={faults}
                pointer={`/${name}`}
              />
            ))}
            <Button type="submit" variant="default">{t("Show")}</Button>
          </Group>
        </form>
      )}
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
      {!rows.length && <Text c="dimmed">{t("There are none.")}</Text>}
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

import { Stack, Table, Title } from "@mantine/core";
import { field, orderedFields, type Schema, type Schemas, words } from "../api/schema";
import { Value } from "../fields/Value";
import { t } from "../language/text";
import { isRecord } from "./values";

const TECHNICAL = new Set(["etag", "generation", "id", "kind", "name"]);

/** The fields of an object in two columns, without `hidden` ones. Spec and status have headings. */
export function Fields({ item, schema, schemas, hidden }: { item: Record<string, unknown>; schema: Schema; schemas: Schemas; hidden?: string[] }) {
  const properties = orderedFields(schema);
  const nested = properties.filter(([name, inner]) => ["spec", "status"].includes(name) && field(inner, schemas).schema.properties);
  const flat = properties.filter(([name]) => !nested.some(([other]) => other === name) && !TECHNICAL.has(name) && !hidden?.includes(name));
  return (
    <Stack gap="lg">
      {nested.map(([name, inner]) => {
        const value = item[name];
        const declared = field(inner, schemas).schema;
        const entries = orderedFields(declared).filter(([inner]) => !hidden?.includes(`${name}.${inner}`));
        if (!isRecord(value) || !entries.length) return null;
        return (
          <section key={name} aria-label={words(name)}>
            <Title order={2} mb="xs">{name === "spec" ? t("Settings") : t("State")}</Title>
            <Rows entries={entries} item={value} schemas={schemas} />
          </section>
        );
      })}
      <section aria-label={t("Details")}>
        {nested.length > 0 && <Title order={2} mb="xs">{t("Details")}</Title>}
        <Rows entries={flat} item={item} schemas={schemas} />
      </section>
    </Stack>
  );
}

function Rows({ entries, item, schemas }: { entries: [string, Schema][]; item: Record<string, unknown>; schemas: Schemas }) {
  return (
    <Table layout="fixed" withRowBorders={false} verticalSpacing={4}>
      <Table.Tbody>
        {entries.map(([name, inner]) => {
          const declared = field(inner, schemas);
          return (
            <Table.Tr key={name}>
              <Table.Th w={200} fw={400} c="dimmed" title={declared.schema.description} style={{ verticalAlign: "top" }}>{words(name)}</Table.Th>
              <Table.Td><Value value={item[name]} field={declared} /></Table.Td>
            </Table.Tr>
          );
        })}
      </Table.Tbody>
    </Table>
  );
}

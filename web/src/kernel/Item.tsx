import { Anchor, Breadcrumbs, Button, Code, CopyButton, Group, Menu, Modal, Select, Stack, Table, Tabs, Text, Title, UnstyledButton } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { useState } from "react";
import { send } from "../api/http";
import { allowed, catalogues, kindOf, type KindEntry, method, openApi, type OperationEntry, pathOf, requestSchema } from "../api/platform";
import { field, orderedFields, type Schema, type Schemas, words } from "../api/schema";
import { Value } from "../fields/Value";
import { Trouble } from "../ui/Trouble";
import { History } from "./History";
import { Part } from "./Part";
import { RequestForm } from "./RequestForm";
import { isRecord, mergePatch } from "./values";

const ROUTE = "/$service/$plural/$id" as const;
const OWN_TAB = ["revisions"];
const TECHNICAL = new Set(["etag", "generation", "id", "kind", "name"]);
const MAX_BUTTONS = 3;
const MAX_TABS = 8;

/** An item of a kind: its fields, its parts, its history, and what the caller can do with it. */
export function Item() {
  const { service, plural, id } = useParams({ from: ROUTE });
  const { tab = "overview" } = useSearch({ from: ROUTE });
  const navigate = useNavigate({ from: ROUTE });
  const { data: found } = useQuery(catalogues);
  const { data: document } = useQuery(openApi(service));
  const kind = found && kindOf(found, service, plural);
  const getting = kind && method(kind, "get");
  const item = useQuery({
    queryKey: ["item", service, plural, id],
    queryFn: ({ signal }) => send<Record<string, unknown>>("GET", pathOf(getting as OperationEntry, id), { signal }),
    enabled: Boolean(getting),
    retry: false,
  });
  if (!kind || !document) return null;
  const list = `/${service}/${plural}`;
  const schemas = document.components.schemas;
  const schema = schemas[getting?.result ?? ""];
  const name = String(item.data?.body.name ?? id);
  const parts = kind.parts.filter((part) => !part.path.endsWith("}") && !OWN_TAB.includes(part.verb));
  const tabs: [string, string][] = [
    ["overview", "Overview"],
    ...parts.map((part): [string, string] => [part.verb, words(part.path.split("/").at(-1) ?? part.verb)]),
  ];
  const hasHistory = kind.parts.some((part) => part.path.endsWith("/revisions"));
  if (hasHistory) tabs.push(["history", "History"]);
  const shown = tabs.length > MAX_TABS ? MAX_TABS - 1 : MAX_TABS;
  return (
    <Stack gap="md">
      <Breadcrumbs>
        <Anchor component={Link} to={list} size="sm">{words(plural)}</Anchor>
        <Text size="sm">{name}</Text>
      </Breadcrumbs>
      {item.error && <Trouble error={item.error} retry={() => item.refetch()} />}
      {item.data && schema && (
        <>
          <Group justify="space-between" align="flex-start">
            <div>
              <Title order={1}>{name}</Title>
              <CopyButton value={id}>
                {({ copied, copy }) => <UnstyledButton onClick={copy} title="Copy the id"><Code>{copied ? "Copied" : id}</Code></UnstyledButton>}
              </CopyButton>
            </div>
            <Actions key={item.data.etag} service={service} kind={kind} id={id} item={item.data.body} etag={item.data.etag} schema={schema} schemas={schemas} />
          </Group>
          <Tabs value={tab} onChange={(chosen) => navigate({ search: chosen === "overview" ? {} : { tab: chosen ?? undefined } })} keepMounted={false}>
            <Tabs.List>
              {tabs.slice(0, shown).map(([name, text]) => <Tabs.Tab key={name} value={name}>{text}</Tabs.Tab>)}
              {tabs.length > shown && (
                <Select
                  aria-label="Other parts"
                  placeholder="Other parts"
                  size="xs"
                  searchable
                  value={tabs.slice(shown).some(([name]) => name === tab) ? tab : null}
                  data={tabs.slice(shown).map(([value, text]) => ({ value, label: text }))}
                  onChange={(chosen) => chosen && navigate({ search: { tab: chosen } })}
                />
              )}
            </Tabs.List>
            <Tabs.Panel value="overview" pt="md"><Fields item={item.data.body} schema={schema} schemas={schemas} /></Tabs.Panel>
            {parts.map((part) => (
              <Tabs.Panel key={part.verb} value={part.verb} pt="md"><Part id={id} operation={part} document={document} /></Tabs.Panel>
            ))}
            {hasHistory && <Tabs.Panel value="history" pt="md"><History path={`${pathOf(getting as OperationEntry, id)}/revisions`} /></Tabs.Panel>}
          </Tabs>
        </>
      )}
    </Stack>
  );
}

/** The fields of an object in two columns. Spec and status have headings. */
export function Fields({ item, schema, schemas }: { item: Record<string, unknown>; schema: Schema; schemas: Schemas }) {
  const properties = orderedFields(schema);
  const nested = properties.filter(([name, inner]) => ["spec", "status"].includes(name) && field(inner, schemas).schema.properties);
  const flat = properties.filter(([name]) => !nested.some(([other]) => other === name) && !TECHNICAL.has(name));
  return (
    <Stack gap="lg">
      {nested.map(([name, inner]) => {
        const value = item[name];
        const declared = field(inner, schemas).schema;
        if (!isRecord(value) || !Object.keys(declared.properties ?? {}).length) return null;
        return (
          <section key={name} aria-label={words(name)}>
            <Title order={2} mb="xs">{name === "spec" ? "Settings" : "State"}</Title>
            <Rows entries={orderedFields(declared)} item={value} schemas={schemas} />
          </section>
        );
      })}
      <section aria-label="Details">
        {nested.length > 0 && <Title order={2} mb="xs">Details</Title>}
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

interface ActionsProps {
  service: string;
  kind: KindEntry;
  id: string;
  item: Record<string, unknown>;
  etag: string;
  schema: Schema;
  schemas: Schemas;
}

/** Buttons for the operations on an item. One that the caller has no permission for is disabled, and says which. */
function Actions({ service, kind, id, item, etag, schemas }: ActionsProps) {
  const navigate = useNavigate();
  const queries = useQueryClient();
  const [open, setOpen] = useState<OperationEntry | null>(null);
  const { data: document } = useQuery(openApi(service));
  const onItem = kind.actions.filter((one) => one.path.includes("{"));
  const updating = method(kind, "update");
  const deleting = method(kind, "delete");
  const operations = [...(updating ? [updating] : []), ...onItem, ...(deleting ? [deleting] : [])];
  const full = `${service.replaceAll("-", "_")}.${kind.name}`;
  const { data: rights } = useQuery(allowed(operations.map((one) => one.permission), { id, kind: full }));
  if (!document) return null;
  const done = (operation: OperationEntry) => {
    setOpen(null);
    notifications.show({ message: operation.long ? `${words(operation.verb)} started` : `${words(operation.verb)}: done` });
    void queries.invalidateQueries({ queryKey: ["items", service, kind.plural] });
    if (operation === deleting) void navigate({ to: `/${service}/${kind.plural}` });
    else void queries.invalidateQueries({ queryKey: ["item", service, kind.plural, id] });
  };
  const label = (operation: OperationEntry) => (operation === updating ? "Edit" : words(operation.verb));
  const button = (operation: OperationEntry) => {
    const permitted = rights?.has(operation.permission) ?? false;
    const title = permitted || !rights ? operation.summary : `You need the permission ${operation.permission}.`;
    return { disabled: !permitted, title, onClick: () => setOpen(operation) };
  };
  const schemaOf = (operation: OperationEntry): Schema => requestSchema(document, operation) ?? { type: "object", properties: {}, description: operation.summary };
  return (
    <Group gap="xs" justify="flex-end">
      {operations.slice(0, MAX_BUTTONS).map((operation) => (
        <Button key={operation.operation_id} size="xs" variant="default" {...button(operation)}>{label(operation)}</Button>
      ))}
      {operations.length > MAX_BUTTONS && (
        <Menu position="bottom-end">
          <Menu.Target><Button size="xs" variant="default">More</Button></Menu.Target>
          <Menu.Dropdown>
            {operations.slice(MAX_BUTTONS).map((operation) => (
              <Menu.Item key={operation.operation_id} color={operation === deleting ? "red" : undefined} {...button(operation)}>{label(operation)}</Menu.Item>
            ))}
          </Menu.Dropdown>
        </Menu>
      )}
      <Modal opened={open !== null} onClose={() => setOpen(null)} title={open ? open.summary : ""} size="xl">
        {open && (
          <RequestForm
            method={open.method}
            path={pathOf(open, id)}
            schema={schemaOf(open)}
            schemas={schemas}
            initial={open === updating ? { name: item.name, owner: item.owner, labels: item.labels, spec: item.spec } : undefined}
            body={open === updating ? (values) => mergePatch({ name: item.name, owner: item.owner, labels: item.labels, spec: item.spec }, values) : undefined}
            etag={open === updating || open === deleting ? etag : undefined}
            submit={open === updating ? "Save" : words(open.verb)}
            danger={open === deleting}
            onDone={() => done(open)}
            onCancel={() => setOpen(null)}
          />
        )}
      </Modal>
    </Group>
  );
}

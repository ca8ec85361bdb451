import { Anchor, Breadcrumbs, Code, CopyButton, Group, Select, Stack, Tabs, Text, Title, UnstyledButton } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { send } from "../api/http";
import { catalogues, kindOf, method, openApi, type OperationEntry, pathOf } from "../api/platform";
import { useLive } from "../api/live";
import { words } from "../api/schema";
import { Trouble } from "../ui/Trouble";
import { Actions } from "./Actions";
import { Fields } from "./Fields";
import { History } from "./History";
import { fullName } from "./operations";
import { Part } from "./Part";

const ROUTE = "/$service/$plural/$id" as const;
const OWN_TAB = ["revisions"];
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
  useLive(kind ? [fullName(service, kind)] : [], ["item", service, plural, id], String(item.data?.body.id ?? id));
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
            <Actions service={service} kind={kind} id={id} item={item.data.body} etag={item.data.etag} />
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

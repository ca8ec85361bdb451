import { Code, CopyButton, Group, Select, Stack, Tabs, Title, UnstyledButton } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { send } from "../api/http";
import { useLive } from "../api/live";
import { allowed, answerKey, catalogues, kindOf, method, openApi, type OperationEntry, pathOf } from "../api/platform";
import { words } from "../api/schema";
import { t } from "../language/text";
import { Trouble } from "../ui/Trouble";
import { useLate } from "../ui/useLate";
import { Actions } from "./Actions";
import { Activity } from "./Activity";
import { Details } from "./Details";
import { History } from "./History";
import { TableSkeleton } from "./ItemTable";
import { fullName } from "./operations";
import { Part } from "./Part";
import { Permissions } from "./Permissions";

const OWN_TAB = ["revisions"];
const MAX_TABS = 8;
const NONE: OwnTab[] = [];
const GRANTS = "admin.grant.effective";
const EVENTS = "admin.audit_event.list";

/** A tab made by hand, before those of the parts. */
export interface OwnTab {
  value: string;
  title: string;
  /** Parts and operations that it shows, so that nothing else has to. */
  replaces: string[];
  content: (item: Record<string, unknown>, etag: string | undefined) => ReactNode;
}

interface Props {
  service: string;
  plural: string;
  id: string;
  tab?: string;
  onTab: (tab: string | undefined) => void;
  /** What stands beside the actions: the way out of a side view. */
  aside?: ReactNode;
  own?: OwnTab[];
  /** The operation whose form is open when the view opens. */
  doing?: string;
  onDeleted?: () => void;
}

/** An item of a kind: its fields, its parts, its history, and what the caller can do with it. */
export function ItemView({ service, plural, id, tab = "overview", onTab, aside, own = NONE, doing, onDeleted }: Props) {
  const { data: found } = useQuery(catalogues);
  const { data: document } = useQuery(openApi(service));
  const kind = found && kindOf(found, service, plural);
  const getting = kind && method(kind, "get");
  const key = answerKey(service, plural, id);
  const item = useQuery({
    queryKey: key,
    queryFn: ({ signal }) => send<Record<string, unknown>>("GET", pathOf(getting as OperationEntry, id), { signal }),
    enabled: Boolean(getting),
    retry: false,
  });
  useLive(kind ? [fullName(service, kind)] : [], key, String(item.data?.body.id ?? id));
  const { data: rights } = useQuery(allowed([GRANTS, EVENTS], kind ? { id, kind: fullName(service, kind) } : null));
  const late = useLate(!item.data && !item.error);
  if (!kind || !document) return late ? <TableSkeleton /> : null;
  if (!getting) return <>{aside}</>;
  const schemas = document.components.schemas;
  const schema = schemas[getting.result ?? ""];
  const name = String(item.data?.body.name ?? id);
  const path = pathOf(getting, id);
  const replaced = own.flatMap((one) => one.replaces);
  const parts = kind.parts.filter((part) => !part.path.endsWith("}") && ![...OWN_TAB, ...replaced].includes(part.verb));
  const hasHistory = kind.parts.some((part) => part.path.endsWith("/revisions"));
  const tabs: [string, string][] = [
    ["overview", t("Overview")],
    ...own.map((one): [string, string] => [one.value, one.title]),
    ...parts.map((part): [string, string] => [part.verb, words(part.path.split("/").at(-1) ?? part.verb)]),
    ...(hasHistory ? ([["history", t("History")]] as [string, string][]) : []),
    ...(rights?.has(GRANTS) ? ([["permissions", t("Permissions")]] as [string, string][]) : []),
    ...(rights?.has(EVENTS) ? ([["activity", t("Activity")]] as [string, string][]) : []),
  ];
  const shown = tabs.length > MAX_TABS ? MAX_TABS - 1 : MAX_TABS;
  return (
    <Stack gap="md">
      {item.error && <>{aside}<Trouble error={item.error} retry={() => item.refetch()} /></>}
      {late && !item.data && <TableSkeleton />}
      {item.data && schema && (
        <>
          <Group justify="space-between" align="flex-start">
            <div>
              <Title order={1}>{name}</Title>
              <CopyButton value={id}>
                {({ copied, copy }) => <UnstyledButton onClick={copy} title={t("Copy the ID")}><Code>{copied ? t("Copied") : id}</Code></UnstyledButton>}
              </CopyButton>
            </div>
            <Group gap="xs" justify="flex-end">
              <Actions service={service} kind={kind} id={id} item={item.data.body} etag={item.data.etag} without={replaced} doing={doing} onDeleted={onDeleted} />
              {aside}
            </Group>
          </Group>
          <Tabs value={tab} onChange={(chosen) => onTab(chosen === "overview" ? undefined : (chosen ?? undefined))} keepMounted={false}>
            <Group align="flex-end" gap="xs">
              <Tabs.List flex={1}>
                {tabs.slice(0, shown).map(([value, text]) => <Tabs.Tab key={value} value={value}>{text}</Tabs.Tab>)}
              </Tabs.List>
              {tabs.length > shown && (
                <Select
                  aria-label={t("Other parts")}
                  placeholder={t("Other parts")}
                  size="xs"
                  searchable
                  value={tabs.slice(shown).some(([value]) => value === tab) ? tab : null}
                  data={tabs.slice(shown).map(([value, text]) => ({ value, label: text }))}
                  onChange={(chosen) => chosen && onTab(chosen)}
                />
              )}
            </Group>
            <Tabs.Panel value="overview" pt="md">
              <Details service={service} kind={kind} id={id} item={item.data.body} schema={schema} schemas={schemas} />
            </Tabs.Panel>
            {own.map((one) => <Tabs.Panel key={one.value} value={one.value} pt="md">{one.content(item.data.body, item.data.etag)}</Tabs.Panel>)}
            {parts.map((part) => (
              <Tabs.Panel key={part.verb} value={part.verb} pt="md"><Part id={id} operation={part} document={document} /></Tabs.Panel>
            ))}
            {hasHistory && <Tabs.Panel value="history" pt="md"><History path={`${path}/revisions`} /></Tabs.Panel>}
            <Tabs.Panel value="permissions" pt="md"><Permissions service={service} kind={kind} id={id} /></Tabs.Panel>
            <Tabs.Panel value="activity" pt="md"><Activity id={id} /></Tabs.Panel>
          </Tabs>
        </>
      )}
    </Stack>
  );
}

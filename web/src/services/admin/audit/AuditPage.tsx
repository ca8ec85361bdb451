import { Alert, Button, Code, Group, Menu, NavLink, Stack, Text, TextInput, Title } from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { type FormEvent, useState } from "react";
import { BASE, get, send } from "../../../api/http";
import { words } from "../../../api/schema";
import { rich, t } from "../../../language/text";
import { Trouble } from "../../../ui/Trouble";
import { Section } from "../../../ui/Section";
import classes from "./AuditPage.module.css";
import { Events } from "./Events";
import { type Count, equals, type Facets, happened, has, toggled } from "./events";

export interface AuditSearch {
  filter?: string;
  since?: string;
  until?: string;
}

interface ChainState {
  holds: boolean;
  detail: string;
  hash: string | null;
}

const API = "/api/v1/admin/audit-events";
const SHOWN = 8;
const FORMATS: [string, string][] = [["ndjson", "NDJSON"], ["csv", "CSV"], ["ocsf", "OCSF"]];

/** The audit log: filtered, counted, verified, and exported. */
export function AuditPage() {
  const search: AuditSearch = useSearch({ strict: false });
  const navigate = useNavigate();
  const filter = search.filter ?? "";
  const [text, setText] = useState(filter);
  const change = (changed: AuditSearch) => {
    const next = Object.fromEntries(Object.entries({ ...search, ...changed }).filter(([, value]) => value));
    if (changed.filter !== undefined) setText(changed.filter);
    void navigate({ to: "/admin/audit-events", search: next as never, replace: true });
  };
  const times = { since: utc(search.since), until: utc(search.until) };
  const facets = useQuery({ queryKey: ["audit-facets", filter, times], queryFn: ({ signal }) => get<Facets>(`${API}:facets`, { query: { filter, ...times }, signal }), retry: false });
  const chain = useMutation({ mutationFn: async () => (await send<ChainState>("POST", `${API}:verify`, { body: {} })).body });
  const exported = (format: string) => `${BASE}${API}:export?${new URLSearchParams(Object.entries({ format, filter, ...times }).filter((entry): entry is [string, string] => Boolean(entry[1])))}`;
  return (
    <Stack gap="md">
      <Group justify="space-between" align="flex-start">
        <div>
          <Title order={1}>{t("Audit")}</Title>
          <Text size="sm" c="dimmed">{t("Every change and every refusal, newest first. No event can change, because each contains the hash of the one before.")}</Text>
        </div>
        <Group gap="xs">
          <Button variant="default" size="xs" loading={chain.isPending} onClick={() => chain.mutate()}>{t("Verify the chain")}</Button>
          <Menu position="bottom-end">
            <Menu.Target><Button variant="default" size="xs">{t("Export")}</Button></Menu.Target>
            <Menu.Dropdown>{FORMATS.map(([format, label]) => <Menu.Item key={format} component="a" href={exported(format)} download>{label}</Menu.Item>)}</Menu.Dropdown>
          </Menu>
        </Group>
      </Group>
      {chain.error && <Trouble error={chain.error} />}
      {chain.data && (
        <Alert role="status" variant="light" color={chain.data.holds ? "teal" : "red"} title={chain.data.holds ? t("The chain holds") : t("The chain is broken")} withCloseButton closeButtonLabel={t("Dismiss")} onClose={() => chain.reset()}>
          <Text size="sm">{chain.data.detail}</Text>
          {chain.data.hash && <Text size="xs" mt={4} style={{ overflowWrap: "anywhere" }}>{rich("Keep this hash elsewhere to prove later that no event changed: {hash}", { hash: <Code>{chain.data.hash}</Code> })}</Text>}
        </Alert>
      )}
      <Group component="form" gap="xs" align="flex-end" onSubmit={(event: FormEvent) => { event.preventDefault(); change({ filter: text }); }}>
        <TextInput flex={1} miw={240} label={t("Filter")} placeholder={'principal == "ada" && outcome == "denied"'} value={text} onChange={(event) => setText(event.currentTarget.value)} ff="monospace" spellCheck={false} />
        <TextInput type="datetime-local" label={t("From")} value={search.since ?? ""} onChange={(event) => change({ since: event.currentTarget.value })} />
        <TextInput type="datetime-local" label={t("Until")} value={search.until ?? ""} onChange={(event) => change({ until: event.currentTarget.value })} />
        <Button type="submit" variant="default">{t("Apply")}</Button>
      </Group>
      <div className={classes.columns}>
        <Stack gap="md" component="aside" aria-label={t("Facets")}>
          {facets.data && <Text size="sm">{t("{total, number} events", { total: facets.data.total })}</Text>}
          {facets.data && (
            <>
              <Facet title={t("Outcome")} field="outcome" counts={facets.data.outcome} filter={filter} onChange={change} text={(value) => (value ? words(value) : t("Follows from another"))} />
              <Facet title={t("Who")} field="principal" counts={facets.data.principal} filter={filter} onChange={change} text={(value) => value ?? t("None")} />
              <Facet title={t("What")} field="type" counts={facets.data.type} filter={filter} onChange={change} text={(value) => happened(value ?? "")} />
            </>
          )}
        </Stack>
        <div className={classes.events}><Events filter={filter} {...times} /></div>
      </div>
    </Stack>
  );
}

interface FacetProps {
  title: string;
  field: string;
  counts: Count[];
  filter: string;
  onChange: (changed: AuditSearch) => void;
  text: (value: string | null) => string;
}

function Facet({ title, field, counts, filter, onChange, text }: FacetProps) {
  const [all, setAll] = useState(false);
  const shown = all ? counts : counts.slice(0, SHOWN);
  return (
    <Section title={title}>
      {shown.map(({ value, count }) => {
        const condition = equals(field, value);
        const active = has(filter, condition);
        return <NavLink key={String(value)} component="button" type="button" aria-pressed={active} active={active} py={2} px={6} label={text(value)} rightSection={<Text span size="xs" c="dimmed">{count.toLocaleString()}</Text>} onClick={() => onChange({ filter: toggled(filter, condition) })} />;
      })}
      {counts.length > SHOWN && <Button variant="subtle" size="compact-xs" onClick={() => setAll(!all)}>{all ? t("Show fewer") : t("Show all {count}", { count: counts.length })}</Button>}
    </Section>
  );
}

/** A local time of an input as the API takes it. */
function utc(local: string | undefined): string | undefined {
  return local ? new Date(local).toISOString() : undefined;
}

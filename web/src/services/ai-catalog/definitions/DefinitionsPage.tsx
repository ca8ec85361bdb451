import { Anchor, Button, Group, Select, Skeleton, Stack, Switch, Table, Text, TextInput, Title } from "@mantine/core";
import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { useState } from "react";
import { get } from "../../../api/http";
import { allowed } from "../../../api/platform";
import { rich, t } from "../../../language/text";
import { State } from "../../../ui/State";
import { Time } from "../../../ui/Time";
import { Trouble } from "../../../ui/Trouble";
import { components, type Definition, PATH, STATES, title } from "./definitions";
import { useSoon } from "../../../ui/useSoon";

export interface DefinitionsSearch {
  project?: string;
  component?: string;
  retired?: boolean;
}

interface Page {
  items: Definition[];
  next_page_token: string | null;
}

const CREATE = "ai_catalog.definition.create";

/** Definitions of assets with their states. The filter is in the address. */
export function DefinitionsPage() {
  const search = useSearch({ from: "/definitions" });
  const navigate = useNavigate({ from: "/definitions" });
  const [project, setProject] = useState(search.project ?? "");
  const { data: known } = useQuery(components);
  const { data: rights } = useQuery(allowed([CREATE], null));
  const conditions = [search.project && `project == ${JSON.stringify(search.project)}`, search.component && `component == ${JSON.stringify(search.component)}`];
  const query = { filter: conditions.filter(Boolean).join(" && "), show_retired: search.retired, page_size: 100 };
  const pages = useInfiniteQuery({
    queryKey: ["definitions", query],
    queryFn: ({ pageParam, signal }) => get<Page>(PATH, { query: { ...query, page_token: pageParam }, signal }),
    initialPageParam: "",
    getNextPageParam: (page) => page.next_page_token || undefined,
    retry: false,
  });
  const change = (changed: DefinitionsSearch) => void navigate({ search: (before) => ({ ...before, ...changed }), replace: true });
  const later = useSoon((text: string) => change({ project: text.trim() || undefined }), 300);
  const items = pages.data?.pages.flatMap((page) => page.items) ?? [];
  const filtered = Boolean(search.project || search.component);
  const creating = <CreateButton allowed={rights ? rights.has(CREATE) : undefined} />;
  return (
    <Stack gap="md">
      <Group justify="space-between" align="flex-start">
        <div>
          <Title order={1}>{t("Definitions")}</Title>
          <Text size="sm" c="dimmed">{t("What users declare as assets: a component and its attributes. A published definition is an asset.")}</Text>
        </div>
        {creating}
      </Group>
      <Group gap="sm" align="center">
        <TextInput aria-label={t("Project")} placeholder={t("All projects")} value={project} onChange={(event) => { setProject(event.currentTarget.value); later(event.currentTarget.value); }} />
        <Select
          aria-label={t("Component")}
          placeholder={t("All components")}
          clearable
          data={(known ?? []).map((one) => ({ value: one.name, label: title(one.name) }))}
          value={search.component ?? null}
          onChange={(component) => change({ component: component ?? undefined })}
        />
        <Switch label={t("Show retired")} checked={Boolean(search.retired)} onChange={(event) => change({ retired: event.currentTarget.checked || undefined })} />
      </Group>
      {pages.error && <Trouble error={pages.error} retry={() => pages.refetch()} />}
      {pages.isPending && <Skeleton height={160} />}
      {items.length > 0 && (
        <Table.ScrollContainer minWidth={640}>
          <Table highlightOnHover verticalSpacing={6}>
            <Table.Thead>
              <Table.Tr><Table.Th>{t("Asset")}</Table.Th><Table.Th>{t("State")}</Table.Th><Table.Th>{t("Component")}</Table.Th><Table.Th>{t("Published")}</Table.Th><Table.Th>{t("Last change")}</Table.Th></Table.Tr>
            </Table.Thead>
            <Table.Tbody>
              {items.map((one) => (
                <Table.Tr key={one.id}>
                  <Table.Td>
                    <Anchor size="sm" renderRoot={(props) => <Link {...props} to="/ai-catalog/definitions/$id" params={{ id: one.id }} />}>{one.id}</Anchor>
                  </Table.Td>
                  <Table.Td><DefinitionState definition={one} /></Table.Td>
                  <Table.Td>{title(one.component)}</Table.Td>
                  <Table.Td>{one.published_at ? rich("{time} by {published_by}", { time: <Time value={one.published_at} />, published_by: one.published_by }) : <Text span c="dimmed">{t("Never")}</Text>}</Table.Td>
                  <Table.Td><Time value={one.updated_at} /></Table.Td>
                </Table.Tr>
              ))}
            </Table.Tbody>
          </Table>
        </Table.ScrollContainer>
      )}
      {pages.isSuccess && !items.length && (
        <Stack align="center" py="xl" gap="sm">
          <Text c="dimmed">{filtered ? t("No definition matches this filter.") : t("There are no definitions that you can see.")}</Text>
          {filtered ? <Button variant="default" onClick={() => { setProject(""); change({ project: undefined, component: undefined }); }}>{t("Remove the filter")}</Button> : creating}
        </Stack>
      )}
      {pages.hasNextPage && <Button variant="default" loading={pages.isFetchingNextPage} onClick={() => pages.fetchNextPage()}>{t("Show more")}</Button>}
    </Stack>
  );
}

function CreateButton({ allowed: permitted }: { allowed: boolean | undefined }) {
  if (!permitted) return <Button disabled title={permitted === false ? t("You need the permission {CREATE}.", { CREATE }) : undefined}>{t("Define an asset")}</Button>;
  return <Button renderRoot={(props) => <Link {...props} to="/ai-catalog/definitions/new" />}>{t("Define an asset")}</Button>;
}

/** The state in words and color, and why the asset can't run. */
export function DefinitionState({ definition }: { definition: Definition }) {
  const { label, color, meaning } = STATES[definition.state];
  return (
    <Group gap={6}>
      <State color={color} title={meaning}>{label}</State>
      {definition.blocked && <State color="red" title={definition.blocked}>{t("Blocked")}</State>}
    </Group>
  );
}

import { Alert, Anchor, Breadcrumbs, Button, Card, Group, SimpleGrid, Skeleton, Stack, Text, Title } from "@mantine/core";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { useState } from "react";
import { send } from "../../../api/http";
import { OperationButton } from "../../../kernel/OperationButton";
import { rich, t } from "../../../language/text";
import { notice } from "../../../ui/notice";
import { Time } from "../../../ui/Time";
import { Trouble } from "../../../ui/Trouble";
import { components, type Definition, definition, revisions, STATES, summary, title } from "./definitions";
import { DefinitionState } from "./DefinitionsPage";
import { Difference } from "./Difference";
import { Editor, type View } from "./Editor";
import { RetireButton } from "./RetireButton";
import { written } from "./text";

export interface NewDefinitionSearch {
  component?: string;
  view?: View;
}

export interface DefinitionSearch {
  view?: View;
  /** Whether to check the definition on open, because it was just created with a fault. */
  check?: boolean;
}

const NEW = "/ai-catalog/definitions/new" as const;
const ITEM = "/ai-catalog/definitions/$id" as const;

/** Declares an asset: the component is chosen, then its attributes are entered. */
export function NewDefinitionPage() {
  const search = useSearch({ from: NEW });
  const navigate = useNavigate();
  const known = useQuery(components);
  const component = known.data?.find((one) => one.name === search.component);
  return (
    <Stack gap="md">
      <Trail name={t("New")} />
      <Title order={1}>{t("Define an asset")}</Title>
      {known.error && <Trouble error={known.error} retry={() => known.refetch()} />}
      {known.isPending && <Skeleton height={200} />}
      {known.data && !component && (
        <section aria-label={t("Components")}>
          <Text size="sm" mb="sm">{t("What do you want to make?")}</Text>
          <SimpleGrid cols={{ base: 1, sm: 2, lg: 3 }} spacing="sm">
            {known.data.map((one) => (
              <Card key={one.name} component={Link} to={NEW} search={{ component: one.name } as never} withBorder padding="sm">
                <Text fw={600}>{title(one.name)}</Text>
                <Text size="sm" c="dimmed">{summary(one)}</Text>
              </Card>
            ))}
          </SimpleGrid>
        </section>
      )}
      {component && (
        <>
          <Group gap="xs">
            <Text size="sm">{title(component.name)}.</Text>
            <Anchor size="sm" renderRoot={(props) => <Link {...props} to={NEW} search={{}} />}>{t("Choose another component")}</Anchor>
          </Group>
          <Editor
            key={component.name}
            stored={null}
            initial={written(component.name, { asset: "", description: "" })}
            components={known.data ?? []}
            view={search.view ?? "form"}
            onView={(view) => void navigate({ to: NEW, search: { ...search, view }, replace: true })}
            onStored={({ definition: made }, published) => {
              if (published) tellPublished(made, navigate);
              void navigate({ to: ITEM, params: { id: made.id }, search: { view: search.view, check: published ? undefined : true }, replace: true });
            }}
          />
        </>
      )}
    </Stack>
  );
}

/** A definition: its text or form, its state, and what was published before. */
export function DefinitionPage() {
  const { id } = useParams({ from: ITEM });
  const search = useSearch({ from: ITEM });
  const navigate = useNavigate();
  const queries = useQueryClient();
  const known = useQuery(components);
  const found = useQuery(definition(id));
  const refresh = () => {
    void queries.invalidateQueries({ queryKey: ["definition", id] });
    void queries.invalidateQueries({ queryKey: ["definitions"] });
    void queries.invalidateQueries({ queryKey: ["assets"] });
  };
  const stored = found.data && { definition: found.data.body, etag: found.data.etag };
  const shown = stored?.definition;
  return (
    <Stack gap="md">
      <Trail name={id} />
      {(found.error || known.error) && <Trouble error={found.error ?? known.error} retry={() => { void found.refetch(); void known.refetch(); }} />}
      {(found.isPending || known.isPending) && <Skeleton height={240} />}
      {shown && stored && (
        <>
          <Group justify="space-between" align="flex-start">
            <div>
              <Group gap="sm"><Title order={1}>{shown.id}</Title><DefinitionState definition={shown} /></Group>
              <Text size="sm" c="dimmed">
                {title(shown.component)}. {STATES[shown.state].meaning}
                {shown.published_at && <>{" "}{rich("Published {time} by {published_by}.", { time: <Time value={shown.published_at} />, published_by: shown.published_by })}</>}
                {shown.retired_at && <>{" "}{rich("Retired {time} by {retired_by}.", { time: <Time value={shown.retired_at} />, retired_by: shown.retired_by })}</>}
              </Text>
            </div>
            <Group gap="xs">
              {shown.published_at && <Button size="xs" variant="default" renderRoot={(props) => <Link {...props} to="/$service/$plural/$id" params={{ service: "ai-catalog", plural: "assets", id }} />}>{t("Open the asset")}</Button>}
              {["PUBLISHED", "MODIFIED"].includes(shown.state) && <RetireButton id={id} etag={stored.etag} onDone={() => { notice(t("{id} is retired", { id })); refresh(); }} />}
              {shown.state === "RETIRED" && <OperationButton service="ai-catalog" plural="definitions" verb="reinstate" id={id} onDone={refresh} />}
              {["DRAFT", "RETIRED"].includes(shown.state) && (
                <OperationButton service="ai-catalog" plural="definitions" verb="delete" id={id} etag={stored.etag} onDone={() => { refresh(); void navigate({ to: "/definitions", search: {} }); }} />
              )}
            </Group>
          </Group>
          {shown.blocked && <Alert color="red" variant="light" title={t("The asset can't run")}>{shown.blocked}</Alert>}
          {known.data && (
            <Editor
              key={id}
              stored={stored}
              initial={written(shown.component, shown.attributes)}
              components={known.data}
              view={search.view ?? "form"}
              checks={search.check}
              onView={(view) => void navigate({ to: ITEM, params: { id }, search: { view }, replace: true })}
              onStored={({ definition: made }, published) => {
                refresh();
                if (published) tellPublished(made, navigate);
              }}
            />
          )}
          <Published id={id} text={written(shown.component, shown.attributes)} />
        </>
      )}
    </Stack>
  );
}

function tellPublished(made: Definition, navigate: ReturnType<typeof useNavigate>) {
  notice(t("{id} is published", { id: made.id }), {
    label: t("Materialize it now"),
    run: () => {
      const materialize = async () => {
        await send("POST", `/api/v1/ai-catalog/assets/${encodeURIComponent(made.id)}:materialize`, { body: {} });
        void navigate({ to: "/$service/$plural/$id", params: { service: "ai-catalog", plural: "assets", id: made.id } });
      };
      materialize().catch((error: Error) => notice(error.message));
    },
  });
}

/** The revisions that were published, each compared with what is stored now. */
function Published({ id, text }: { id: string; text: string }) {
  const found = useQuery(revisions(id));
  const [open, setOpen] = useState<number | null>(null);
  if (found.error) return <Trouble error={found.error} retry={() => found.refetch()} />;
  if (!found.data?.length) return null;
  return (
    <section aria-label={t("Published revisions")}>
      <Title order={2} mb="xs">{t("Published revisions")}</Title>
      <Stack gap="xs">
        {found.data.map((one, number) => (
          <div key={one.revision}>
            <Group gap="xs">
              <Text size="sm">{rich("Revision {revision}{number}, published {time} by {published_by}", { revision: one.revision, number: number === 0 && t(" (live)"), time: <Time value={one.published_at} />, published_by: one.published_by })}</Text>
              <Button size="compact-xs" variant="subtle" aria-expanded={open === one.revision} onClick={() => setOpen(open === one.revision ? null : one.revision)}>
                {open === one.revision ? t("Hide") : t("Compare with the saved definition")}
              </Button>
            </Group>
            {open === one.revision && <Difference label={t("Changes since revision {revision}", { revision: one.revision })} before={written(one.component, one.attributes)} after={text} />}
          </div>
        ))}
      </Stack>
    </section>
  );
}

function Trail({ name }: { name: string }) {
  return (
    <Breadcrumbs>
      <Anchor size="sm" renderRoot={(props) => <Link {...props} to="/definitions" search={{}} />}>{t("Definitions")}</Anchor>
      <Text size="sm">{name}</Text>
    </Breadcrumbs>
  );
}


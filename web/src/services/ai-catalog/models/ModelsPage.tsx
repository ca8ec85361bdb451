import { Anchor, Badge, Button, Code, Group, Skeleton, Stack, Table, Text, TextInput, Title } from "@mantine/core";
import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { useState } from "react";
import { BASE, get } from "../../../api/http";
import { rich, t } from "../../../language/text";
import { State } from "../../../ui/State";
import { Time } from "../../../ui/Time";
import { Trouble } from "../../../ui/Trouble";
import { type Asset, assets } from "../assets";
import { aliasesOf, assetOf, figures, leading, type RegisteredModel, type Run, runs, short, versionsOf } from "./models";
import { useSoon } from "../../../ui/useSoon";

export interface ModelsSearch {
  text?: string;
}

interface Page {
  items: RegisteredModel[];
  next_page_token: string | null;
}

const SHOWN = 3;

/** Registered models: the version in use, how good it is, and whether its inputs have changed since. */
export function ModelsPage() {
  const search = useSearch({ from: "/models" });
  const navigate = useNavigate({ from: "/models" });
  const [typed, setTyped] = useState(search.text ?? "");
  const filter = search.text ? `spec.title.contains(${JSON.stringify(search.text)})` : "";
  const pages = useInfiniteQuery({
    queryKey: ["items", "ai-catalog", "registered-models", "models", filter],
    queryFn: ({ pageParam, signal }) => get<Page>("/api/v1/ai-catalog/registered-models", { query: { filter, page_size: 100, page_token: pageParam }, signal }),
    initialPageParam: "",
    getNextPageParam: (page) => page.next_page_token || undefined,
    retry: false,
  });
  const models = pages.data?.pages.flatMap((page) => page.items) ?? [];
  const versions = useQuery({ ...versionsOf(null), enabled: models.length > 0 });
  const known = useQuery(assets);
  const rows = models.map((model) => ({ model, version: leading(model, versions.data?.items ?? []) }));
  const measured = useQuery(runs(rows.flatMap(({ version }) => version?.run_id ?? [])));
  const later = useSoon((text: string) => void navigate({ search: { text: text.trim() || undefined }, replace: true }), 300);
  return (
    <Stack gap="md">
      <Group justify="space-between" align="flex-start">
        <div>
          <Title order={1}>{t("Models")}</Title>
          <Text size="sm" c="dimmed">{t("Models with their version in use, how good it is, and whether its inputs have changed since.")}</Text>
        </div>
        <Group gap="xs">
          <Button variant="default" renderRoot={(props) => <Link {...props} to="/experiments" search={{}} />}>{t("Experiments")}</Button>
          <Button variant="default" renderRoot={(props) => <Link {...props} to="/rounds" search={{}} />}>{t("Federated rounds")}</Button>
          <Button variant="default" renderRoot={(props) => <Link {...props} to="/ask" search={{}} />}>{t("Ask an index")}</Button>
        </Group>
      </Group>
      <TextInput maw={320} aria-label={t("Find a model")} placeholder={t("Find a model")} value={typed} onChange={(event) => { setTyped(event.currentTarget.value); later(event.currentTarget.value); }} />
      {(pages.error || versions.error) && <Trouble error={pages.error ?? versions.error} retry={() => { void pages.refetch(); void versions.refetch(); }} />}
      {pages.isPending && <Skeleton height={160} />}
      {rows.length > 0 && (
        <Table.ScrollContainer minWidth={760}>
          <Table highlightOnHover verticalSpacing={6}>
            <Table.Thead>
              <Table.Tr>
                <Table.Th>{t("Model")}</Table.Th><Table.Th>{t("Version in use")}</Table.Th><Table.Th>{t("Stage")}</Table.Th><Table.Th>{t("Metrics")}</Table.Th><Table.Th>{t("Inputs")}</Table.Th><Table.Th>{t("Trained")}</Table.Th>
              </Table.Tr>
            </Table.Thead>
            <Table.Tbody>
              {rows.map(({ model, version }) => (
                <Table.Tr key={model.id}>
                  <Table.Td>
                    <Anchor size="sm" renderRoot={(props) => <Link {...props} to="/ai-catalog/registered-models/$id" params={{ id: model.id }} search={{}} />}>{model.spec.title}</Anchor>
                  </Table.Td>
                  <Table.Td>
                    {version ? (
                      <Group gap={6} wrap="nowrap">
                        {version.version}
                        {aliasesOf(model, version.version).map((alias) => <Badge key={alias} variant="light" tt="none">{alias}</Badge>)}
                        {!Object.keys(model.status.aliases).length && <Text span size="sm" c="dimmed">{t("newest")}</Text>}
                      </Group>
                    ) : <Text span c="dimmed">{versions.isPending ? "…" : t("None yet")}</Text>}
                  </Table.Td>
                  <Table.Td>{version && version.stage !== "NONE" ? <State value={version.stage} /> : <Text span c="dimmed">–</Text>}</Table.Td>
                  <Table.Td><Metrics run={version?.run_id ? measured.data?.get(version.run_id) : undefined} /></Table.Td>
                  <Table.Td>{version && <Freshness asset={known.data?.get(assetOf(version)?.asset ?? "")} trainedHere={assetOf(version) !== null} />}</Table.Td>
                  <Table.Td>{version && <Time value={version.created_at} />}</Table.Td>
                </Table.Tr>
              ))}
            </Table.Tbody>
          </Table>
        </Table.ScrollContainer>
      )}
      {pages.isSuccess && !rows.length && (search.text ? <Text c="dimmed" ta="center" py="xl">{t("No model has this in its name.")}</Text> : <FirstModel />)}
      {pages.hasNextPage && <Button variant="default" loading={pages.isFetchingNextPage} onClick={() => pages.fetchNextPage()}>{t("Show more")}</Button>}
    </Stack>
  );
}

function Metrics({ run }: { run: Run | undefined }) {
  if (!run) return <Text span c="dimmed">–</Text>;
  const shown = figures(run.metrics);
  return (
    <Text span size="sm" style={{ fontVariantNumeric: "tabular-nums" }} title={shown.map((one) => `${one.key} ${short(one.value)}`).join(", ")}>
      {shown.slice(0, SHOWN).map((one) => `${one.key} ${short(one.value)}`).join(" · ")}
    </Text>
  );
}

/** Whether the tables that a model was trained on have changed since. */
export function Freshness({ asset, trainedHere }: { asset: Asset | undefined; trainedHere: boolean }) {
  if (!asset) return <Text span size="sm" c="dimmed">{trainedHere ? "–" : t("Trained by another program")}</Text>;
  return <State value={asset.staleness} title={asset.staleness_causes.join("\n") || undefined} />;
}

/** What a caller without models sees: the two ways to the first one. */
function FirstModel() {
  return (
    <Stack gap="sm" py="xl" maw={640}>
      <Title order={2}>{t("Train your first model")}</Title>
      <Text size="sm">{t("There are no models that you can see. A model appears here when a training that the platform runs has finished, or when a program logs one with MLflow.")}</Text>
      <Group>
        <Button renderRoot={(props) => <Link {...props} to="/ai-catalog/definitions/new" search={{ component: "ModelTrainingComponent" }} />}>{t("Define a training")}</Button>
        <Button variant="default" renderRoot={(props) => <Link {...props} to="/$service/$plural/new" params={{ service: "ai-catalog", plural: "registered-models" }} />}>{t("Register a model")}</Button>
      </Group>
      <Text size="sm" c="dimmed">{rich("From Python, with an API key in {code}: {code2}", { code: <Code>MLFLOW_TRACKING_TOKEN</Code>, code2: <Code>{`mlflow.set_tracking_uri("${location.origin}${BASE}/mlflow")`}</Code> })}</Text>
    </Stack>
  );
}

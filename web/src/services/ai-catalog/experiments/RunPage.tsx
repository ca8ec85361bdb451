import { Anchor, Breadcrumbs, Code, Group, SimpleGrid, Skeleton, Stack, Table, Text, TextInput, Title } from "@mantine/core";
import { useQueries, useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { BASE, get } from "../../../api/http";
import { OperationButton } from "../../../kernel/OperationButton";
import { rich, t } from "../../../language/text";
import { Chart } from "../../../ui/Chart";
import { State } from "../../../ui/State";
import { Time } from "../../../ui/Time";
import { Trouble } from "../../../ui/Trouble";
import { figures, type Run, short } from "../models/models";
import { experiment, line, run, sample } from "./experiments";

export interface RunSearch {
  /** Part of the names of the metrics that are drawn. */
  metrics?: string;
}

const ROUTE = "/ai-catalog/runs/$id" as const;
const MAX_CHARTS = 12;

interface Artifact {
  id: string;
  path: string;
  size: number;
  digest: string;
}

/** A run of an experiment: metrics over steps, parameters, inputs with their versions, and files. */
export function RunPage() {
  const { id } = useParams({ from: ROUTE });
  const search = useSearch({ from: ROUTE });
  const navigate = useNavigate({ from: ROUTE });
  const found = useQuery(run(id));
  const shown = found.data?.body;
  const { data: parent } = useQuery({ ...experiment(shown?.experiment_id ?? ""), enabled: Boolean(shown) });
  const artifacts = useQuery({
    queryKey: ["artifacts", shown?.id],
    queryFn: ({ signal }) => get<{ items: Artifact[] }>("/api/v1/ai-catalog/artifacts", { query: { filter: `parent_id == ${JSON.stringify(shown?.id)}`, page_size: 200 }, signal }),
    enabled: Boolean(shown),
    retry: false,
  });
  const asset = shown?.tags["headwater.asset"];
  return (
    <Stack gap="md">
      <Breadcrumbs>
        <Anchor size="sm" renderRoot={(props) => <Link {...props} to="/experiments" search={{}} />}>{t("Experiments")}</Anchor>
        {shown && <Anchor size="sm" renderRoot={(props) => <Link {...props} to="/ai-catalog/experiments/$id" params={{ id: shown.experiment_id }} search={{}} />}>{parent?.body.spec.title ?? t("Experiment")}</Anchor>}
        <Text size="sm">{shown?.name ?? id}</Text>
      </Breadcrumbs>
      {found.error && <Trouble error={found.error} retry={() => found.refetch()} />}
      {found.isPending && <Skeleton height={240} />}
      {shown && found.data && (
        <>
          <Group justify="space-between" align="flex-start">
            <div>
              <Group gap="sm"><Title order={1}>{shown.name}</Title><State value={shown.status} /></Group>
              <Text size="sm" c="dimmed">
                {rich("{source}, started {time} by {created_by}{ended_at}.{asset}", { source: shown.source === "PLATFORM" ? t("The platform ran it") : t("Another program reported it"), time: <Time value={shown.started_at} />, created_by: shown.created_by, ended_at: shown.ended_at && rich(", ended {time}", { time: <Time value={shown.ended_at} /> }), asset: asset && <>{" "}{rich("It trained {asset}.", { asset: <Anchor size="sm" underline="always" renderRoot={(props) => <Link {...props} to="/$service/$plural/$id" params={{ service: "ai-catalog", plural: "assets", id: asset }} />}>{asset}</Anchor> })}</> })}
              </Text>
            </div>
            <Group gap="xs">
              <OperationButton service="ai-catalog" plural="runs" verb="update" id={shown.id} item={found.data.body as unknown as Record<string, unknown>} etag={found.data.etag} onDone={() => void found.refetch()} />
              <OperationButton service="ai-catalog" plural="runs" verb="reproduce" id={shown.id} item={found.data.body as unknown as Record<string, unknown>} />
            </Group>
          </Group>
          <Metrics run={shown} text={search.metrics} onText={(metrics) => void navigate({ search: { metrics: metrics || undefined }, replace: true })} />
          <SimpleGrid cols={{ base: 1, md: 2 }} spacing="lg">
            <section aria-label={t("Parameters")}>
              <Title order={2} mb={4}>{t("Parameters")}</Title>
              {Object.keys(shown.params).length ? (
                <Table verticalSpacing={2}>
                  <Table.Tbody>{Object.entries(shown.params).map(([key, value]) => <Table.Tr key={key}><Table.Th w={180} fw={400} c="dimmed">{key}</Table.Th><Table.Td style={{ overflowWrap: "anywhere" }}>{value}</Table.Td></Table.Tr>)}</Table.Tbody>
                </Table>
              ) : <Text size="sm" c="dimmed">{t("No parameter is logged.")}</Text>}
            </section>
            <Stack gap="lg">
              <section aria-label={t("Inputs")}>
                <Title order={2} mb={4}>{t("Inputs")}</Title>
                {!shown.inputs.length && <Text size="sm" c="dimmed">{t("No input that you can see is logged.")}</Text>}
                {shown.inputs.map((one) => (
                  <Text size="sm" key={one.name + one.digest} style={{ overflowWrap: "anywhere" }}>
                    {one.asset ? <Anchor size="sm" renderRoot={(props) => <Link {...props} to="/$service/$plural/$id" params={{ service: "ai-catalog", plural: "assets", id: one.asset ?? "" }} />}>{one.asset}</Anchor> : one.name} <Code>{one.version ?? one.digest}</Code>
                  </Text>
                ))}
              </section>
              <section aria-label={t("Files")}>
                <Title order={2} mb={4}>{t("Files")}</Title>
                {artifacts.error && <Trouble error={artifacts.error} />}
                {artifacts.data?.items.length === 0 && <Text size="sm" c="dimmed">{t("The run has no files. Those of its models are at the model.")}</Text>}
                {artifacts.data?.items.map((one) => (
                  <Text size="sm" key={one.id}><Anchor size="sm" href={`${BASE}/artifact-files/${encodeURIComponent(one.id)}`} download={one.path.split("/").at(-1)}>{one.path}</Anchor> <Text span c="dimmed">{t("{count, number} bytes", { count: one.size })}</Text></Text>
                ))}
              </section>
            </Stack>
          </SimpleGrid>
        </>
      )}
    </Stack>
  );
}

/** A chart of each metric that was logged at several steps, and a table of the others. */
function Metrics({ run: one, text = "", onText }: { run: Run; text?: string; onText: (text: string) => void }) {
  const all = figures(one.metrics);
  const wanted = all.filter(({ key }) => key.toLowerCase().includes(text.toLowerCase()));
  // A metric whose latest step is the first was logged once.
  const drawn = wanted.filter(({ key }) => (one.metrics[key]?.step ?? 0) !== 0).slice(0, MAX_CHARTS);
  const rest = wanted.filter((figure) => !drawn.includes(figure));
  const samples = useQueries({ queries: drawn.map(({ key }) => sample(one.id, key)) });
  return (
    <section aria-label={t("Metrics")}>
      <Group justify="space-between" mb="xs">
        <Title order={2}>{t("Metrics")}</Title>
        {all.length > MAX_CHARTS && <TextInput size="xs" aria-label={t("Find a metric")} placeholder={t("Find a metric")} value={text} onChange={(event) => onText(event.currentTarget.value)} />}
      </Group>
      {!all.length && <Text size="sm" c="dimmed">{t("No metric is logged.")}</Text>}
      <SimpleGrid cols={{ base: 1, md: 2 }} mb="sm">
        {drawn.map(({ key }, number) => {
          const found = samples[number];
          if (found?.error) return <Trouble key={key} error={found.error} retry={() => void found.refetch()} />;
          return <Chart key={key} kind="line" label={t("{key} over the steps", { key })} x={{ name: t("Step") }} y={{ name: key }} series={[{ name: key, points: line(found?.data?.points ?? []) }]} height={200} />;
        })}
      </SimpleGrid>
      {rest.length > 0 && (
        <SimpleGrid cols={{ base: 2, sm: 3, lg: 5 }} spacing="sm">
          {rest.map((figure) => (
            <div key={figure.key}>
              <Text size="xs" c="dimmed">{figure.key}</Text>
              <Text style={{ fontVariantNumeric: "tabular-nums" }}>{short(figure.value)}</Text>
              {figure.baseline !== undefined && <Text size="xs" c="dimmed">{t("baseline {baseline}", { baseline: short(figure.baseline) })}</Text>}
            </div>
          ))}
        </SimpleGrid>
      )}
    </section>
  );
}

import { Anchor, Code, Group, SimpleGrid, Skeleton, Stack, Table, Text, Title } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { get } from "../../../api/http";
import { OperationButton } from "../../../kernel/OperationButton";
import { rich, t } from "../../../language/text";
import { Time } from "../../../ui/Time";
import { Trouble } from "../../../ui/Trouble";
import { figures, type ModelVersion, type Run, short } from "./models";
import { Plot } from "./Plot";

interface ModelCard {
  facts: {
    run: Run | null;
    training: { asset: string; version: string } | null;
    data: { asset: string; version: string; distance: number }[];
    truncated: boolean;
  };
  plots: { artifact_id: string; path: string }[];
  written: { revision: number; text: string; written_by: string; written_at: string } | null;
  revisions: number;
}

interface Signature {
  inputs: Field[];
  outputs: Field[];
  source: string | null;
}

interface Field {
  name: string;
  type: string;
  shape: number[] | null;
}

const path = (id: string, part: string) => `/api/v1/ai-catalog/model-versions/${encodeURIComponent(id)}/${part}`;

/** What people wrote about a version, and what the platform knows: metrics, plots, data, signature. */
export function Card({ version }: { version: ModelVersion }) {
  const card = useQuery({ queryKey: ["card", version.id], queryFn: ({ signal }) => get<ModelCard>(path(version.id, "card"), { signal }), retry: false });
  const signature = useQuery({ queryKey: ["signature", version.id], queryFn: ({ signal }) => get<Signature>(path(version.id, "signature"), { signal }), retry: false });
  if (card.error) return <Trouble error={card.error} retry={() => card.refetch()} />;
  if (!card.data) return <Skeleton height={200} />;
  const { facts, plots, written, revisions } = card.data;
  const measured = facts.run ? figures(facts.run.metrics) : [];
  const hasBaseline = measured.some((one) => one.baseline !== undefined);
  return (
    <Stack gap="lg">
      <section aria-label={t("Description")}>
        <Group justify="space-between" mb={4}>
          <Title order={2}>{t("Purpose and limits")}</Title>
          <OperationButton service="ai-catalog" plural="model-versions" verb="write-card" id={version.id} item={version} text={written ? t("Revise") : t("Write")} initial={{ text: written?.text ?? "", revision: revisions }} onDone={() => void card.refetch()} />
        </Group>
        {written ? (
          <>
            <Text size="sm" style={{ whiteSpace: "pre-wrap" }} maw={720}>{written.text}</Text>
            <Text size="xs" c="dimmed">{rich("Revision {revision} by {written_by}, {time}", { revision: written.revision, written_by: written.written_by, time: <Time value={written.written_at} /> })}</Text>
          </>
        ) : <Text size="sm" c="dimmed">{t("Nobody has described this version yet.")}</Text>}
      </section>
      <SimpleGrid cols={{ base: 1, md: 2 }} spacing="lg">
        <section aria-label={t("Metrics")}>
          <Title order={2} mb={4}>{t("Metrics")}</Title>
          {measured.length ? (
            <Table verticalSpacing={4}>
              <Table.Thead><Table.Tr><Table.Th>{t("Metric")}</Table.Th><Table.Th ta="right">{t("Value")}</Table.Th>{hasBaseline && <Table.Th ta="right">{t("Baseline")}</Table.Th>}</Table.Tr></Table.Thead>
              <Table.Tbody style={{ fontVariantNumeric: "tabular-nums" }}>
                {measured.map((one) => (
                  <Table.Tr key={one.key}><Table.Td>{one.key}</Table.Td><Table.Td ta="right">{short(one.value)}</Table.Td>{hasBaseline && <Table.Td ta="right">{short(one.baseline)}</Table.Td>}</Table.Tr>
                ))}
              </Table.Tbody>
            </Table>
          ) : <Text size="sm" c="dimmed">{t("No metric is recorded.")}</Text>}
          {facts.run && <Anchor size="sm" renderRoot={(props) => <Link {...props} to="/ai-catalog/runs/$id" params={{ id: facts.run?.id ?? "" }} search={{}} />}>{t("Open the run {name}", { name: facts.run.name })}</Anchor>}
        </section>
        <section aria-label={t("Data")}>
          <Title order={2} mb={4}>{t("Data")}</Title>
          {facts.data.length ? (
            <Stack gap={2}>
              {facts.data.filter((one) => one.asset !== facts.training?.asset).map((one) => (
                <Text size="sm" key={one.asset + one.version} style={{ overflowWrap: "anywhere" }}>
                  {/^[a-z0-9_]+\.[a-z0-9_]+\.[a-z0-9_]+$/.test(one.asset)
                    ? <Anchor size="sm" renderRoot={(props) => <Link {...props} to="/$service/$plural/$id" params={{ service: "ai-catalog", plural: "assets", id: one.asset }} />}>{one.asset}</Anchor>
                    : one.asset} <Code title={one.version}>@{one.version.split("@")[1] ?? one.version.slice(0, 15)}</Code>
                </Text>
              ))}
              {facts.truncated && <Text size="sm" c="dimmed">{t("There are more.")}</Text>}
            </Stack>
          ) : <Text size="sm" c="dimmed">{t("No version of a table is recorded.")}</Text>}
        </section>
      </SimpleGrid>
      {plots.length > 0 && (
        <section aria-label={t("Plots")}>
          <Title order={2} mb={4}>{t("Plots")}</Title>
          <SimpleGrid cols={{ base: 1, md: 2 }}>{plots.map((one) => <Plot key={one.artifact_id} id={one.artifact_id} path={one.path} />)}</SimpleGrid>
        </section>
      )}
      <section aria-label={t("Signature")}>
        <Title order={2} mb={4}>{t("Signature")}</Title>
        {signature.error && <Trouble error={signature.error} />}
        {signature.data && (
          <Text size="sm">
            {signature.data.source ? t("Inputs: {inputs}. Outputs: {outputs}.", { inputs: signature.data.inputs.map(typed).join(", "), outputs: signature.data.outputs.map(typed).join(", ") }) : t("Its files state no signature.")}
          </Text>
        )}
      </section>
    </Stack>
  );
}

function typed({ name, type, shape }: Field): string {
  return `${name ? `${name} ` : ""}${type}${shape ? ` [${shape.map((one) => (one < 0 ? t("any") : one)).join(" × ")}]` : ""}`;
}

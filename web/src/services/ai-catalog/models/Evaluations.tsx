import { Anchor, Button, Code, Group, Skeleton, Stack, Table, Text, Title } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useState } from "react";
import { get } from "../../../api/http";
import { rich, t } from "../../../language/text";
import { Chart } from "../../../ui/Chart";
import { State } from "../../../ui/State";
import { Time } from "../../../ui/Time";
import { Trouble } from "../../../ui/Trouble";
import { changed, type ColumnProfile } from "./drift";
import { assetOf, type ModelVersion, short } from "./models";
import { served } from "./served";

interface EvaluationRun {
  id: string;
  evaluation_id: string;
  passed: boolean;
  rows: number;
  dataset: string | null;
  dataset_version: string | null;
  created_at: string;
  created_by: string;
  thresholds: { name: string; condition: string; passed: boolean; rows: number }[];
}

/** How a version did in evaluations, and how far its inputs are now from those that it was trained on. */
export function Evaluations({ version }: { version: ModelVersion }) {
  const filter = `model_version_id == ${JSON.stringify(version.id)}`;
  const found = useQuery({
    queryKey: ["evaluation-runs", version.id],
    queryFn: ({ signal }) => get<{ items: EvaluationRun[] }>("/api/v1/ai-catalog/evaluation-runs", { query: { filter, page_size: 50 }, signal }),
    retry: false,
  });
  return (
    <Stack gap="xl">
      <section aria-label={t("Evaluations")}>
        <Title order={2} mb="xs">{t("Evaluations")}</Title>
        {found.error && <Trouble error={found.error} retry={() => found.refetch()} />}
        {found.data?.items.length === 0 && (
          <Text size="sm" c="dimmed">
            {rich("No evaluation has run on this version. <link>Open the evaluations</link>", { link: (inside) => <Anchor size="sm" underline="always" renderRoot={(props) => <Link {...props} to="/$service/$plural" params={{ service: "ai-catalog", plural: "evaluations" }} />}>{inside}</Anchor> })}
          </Text>
        )}
        {found.data && found.data.items.length > 0 && (
          <Table.ScrollContainer minWidth={640}>
            <Table verticalSpacing={4}>
              <Table.Thead><Table.Tr><Table.Th>{t("Result")}</Table.Th><Table.Th>{t("Thresholds")}</Table.Th><Table.Th>{t("Data set")}</Table.Th><Table.Th>{t("Rows")}</Table.Th><Table.Th>{t("Run")}</Table.Th></Table.Tr></Table.Thead>
              <Table.Tbody>
                {found.data.items.map((one) => (
                  <Table.Tr key={one.id}>
                    <Table.Td><State color={one.passed ? "teal" : "red"}>{one.passed ? t("Passed") : t("Failed")}</State></Table.Td>
                    <Table.Td>{one.thresholds.map((threshold) => <Text size="sm" key={threshold.name}>{threshold.passed ? "✓" : "✕"} {threshold.name}: <Code>{threshold.condition}</Code></Text>)}</Table.Td>
                    <Table.Td>{one.dataset ?? <Text span c="dimmed">{t("Not visible")}</Text>} {one.dataset_version && <Code title={one.dataset_version}>@{one.dataset_version.split("@")[1]}</Code>}</Table.Td>
                    <Table.Td>{one.rows.toLocaleString()}</Table.Td>
                    <Table.Td>{rich("{link} by {created_by}", { link: <Anchor size="sm" renderRoot={(props) => <Link {...props} to="/$service/$plural/$id" params={{ service: "ai-catalog", plural: "evaluation-runs", id: one.id }} />}><Time value={one.created_at} /></Anchor>, created_by: one.created_by })}</Table.Td>
                  </Table.Tr>
                ))}
              </Table.Tbody>
            </Table>
          </Table.ScrollContainer>
        )}
      </section>
      <Drift version={version} />
    </Stack>
  );
}

/** The inputs of a version as they are now, beside those that it was trained on. */
function Drift({ version }: { version: ModelVersion }) {
  const [wanted, setWanted] = useState(false);
  const trained = assetOf(version);
  const model = useQuery({ ...served(trained?.asset ?? "", trained?.dataVersion ?? ""), enabled: trained !== null });
  const table = model.data?.entity_table ?? "";
  const profile = useQuery({
    queryKey: ["profile", table],
    queryFn: ({ signal }) => get<{ data_version: string; row_count: number; columns: ColumnProfile[] }>(`/api/v1/ai-catalog/assets/${encodeURIComponent(table)}/profile`, { signal }),
    enabled: wanted && table !== "",
    retry: false,
  });
  const rows = model.data && profile.data ? changed(model.data.inputs, profile.data.columns, profile.data.row_count) : [];
  return (
    <section aria-label={t("Drift")}>
      <Title order={2} mb="xs">{t("Inputs now and in training")}</Title>
      {!trained && <Text size="sm" c="dimmed">{t("Another program trained this version, so its training data is unknown.")}</Text>}
      {model.error && <Trouble error={model.error} />}
      {model.data && !wanted && (
        <Group>
          <Button variant="default" onClick={() => setWanted(true)}>{t("Compare with {table}", { table })}</Button>
          <Text size="sm" c="dimmed">{t("Reads the newest version of the table.")}</Text>
        </Group>
      )}
      {wanted && profile.isPending && <Skeleton height={200} />}
      {profile.error && <Trouble error={profile.error} retry={() => profile.refetch()} />}
      {profile.data && (
        <Stack gap="sm">
          <Text size="sm">
            {table} <Code>{profile.data.data_version}</Code>{profile.data.data_version === model.data?.features_version ? t(" is the version that it was trained on. Rows that training left out count too.") : ""}
          </Text>
          <Chart
            kind="bar"
            label={t("Change of the median of each input, in parts of its range in training")}
            x={{ name: t("Input") }}
            y={{ name: t("Change of the median"), unit: t("% of the range") }}
            series={[{ name: t("Change"), points: rows.slice(0, 20).map((one) => [one.name, one.shift === null ? null : Number((one.shift * 100).toFixed(2))]) }]}
            height={240}
          />
          <Table.ScrollContainer minWidth={640}>
            <Table verticalSpacing={2} fz="sm">
              <Table.Thead><Table.Tr><Table.Th>{t("Input")}</Table.Th><Table.Th ta="right">{t("Median in training")}</Table.Th><Table.Th ta="right">{t("Median now")}</Table.Th><Table.Th ta="right">{t("Missing in training")}</Table.Th><Table.Th ta="right">{t("Missing now")}</Table.Th><Table.Th>{t("Outside the range")}</Table.Th></Table.Tr></Table.Thead>
              <Table.Tbody style={{ fontVariantNumeric: "tabular-nums" }}>
                {rows.map((one) => (
                  <Table.Tr key={one.name}>
                    <Table.Td>{one.name}</Table.Td>
                    <Table.Td ta="right">{short(one.before.median ?? undefined)}</Table.Td>
                    <Table.Td ta="right">{short(one.median ?? undefined)}</Table.Td>
                    <Table.Td ta="right">{(one.before.missing_share * 100).toFixed(1)} %</Table.Td>
                    <Table.Td ta="right">{one.missing === null ? "–" : `${(one.missing * 100).toFixed(1)} %`}</Table.Td>
                    <Table.Td>{one.outside ? t("Yes") : t("No")}</Table.Td>
                  </Table.Tr>
                ))}
              </Table.Tbody>
            </Table>
          </Table.ScrollContainer>
        </Stack>
      )}
    </section>
  );
}

import { Anchor, Code, Group, Progress, Stack, Table, Text, Title } from "@mantine/core";
import { Link } from "@tanstack/react-router";
import { t } from "../../../language/text";
import { Chart } from "../../../ui/Chart";
import { State } from "../../../ui/State";
import { short } from "./models";
import type { Predictions } from "./served";

const SHOWN = 12;

/** A prediction with what it comes from: the version of the model and that of the features. */
export function Predicted({ answer }: { answer: Predictions }) {
  const [prediction] = answer.predictions;
  if (!prediction) return null;
  const percent = (prediction.probability * 100).toFixed(1);
  const contributions = prediction.contributions?.slice(0, SHOWN) ?? [];
  return (
    <Stack gap="md">
      <section aria-label={t("Prediction")}>
        <Group gap="sm" mb={4}>
          <Title order={2}>{percent} % {answer.target}</Title>
          <State color={prediction.label ? "orange" : "teal"}>{answer.target}: {prediction.label ? t("yes") : t("no")}</State>
        </Group>
        <Progress value={prediction.probability * 100} size="lg" aria-label={t("Probability of {target}", { target: answer.target })} />
        <Text size="sm" c="dimmed">{t("The answer is yes from {threshold} % on.", { threshold: (answer.threshold * 100).toFixed(1) })}</Text>
        {prediction.missing.length > 0 && <Text size="sm">{t("Without a value: {missing}.", { missing: prediction.missing.join(", ") })}</Text>}
        {prediction.out_of_range.length > 0 && <Text size="sm">{t("Outside the range of the training: {out_of_range}.", { out_of_range: prediction.out_of_range.join(", ") })}</Text>}
      </section>
      {contributions.length > 0 && (
        <section aria-label={t("Contributions")}>
          <Title order={2} mb={4}>{t("What moved it")}</Title>
          <Chart
            kind="bar"
            label={t("Change of the log-odds by each input")}
            x={{ name: t("Input") }}
            y={{ name: t("Contribution"), unit: t("log-odds") }}
            series={[{ name: t("Contribution"), points: contributions.map((one) => [one.feature, one.contribution]) }]}
            height={240}
          />
          <Table.ScrollContainer minWidth={320}>
            <Table verticalSpacing={2} fz="sm">
              <Table.Thead><Table.Tr><Table.Th>{t("Input")}</Table.Th><Table.Th ta="right">{t("Value")}</Table.Th><Table.Th ta="right">{t("Median")}</Table.Th><Table.Th ta="right">{t("Contribution")}</Table.Th></Table.Tr></Table.Thead>
              <Table.Tbody style={{ fontVariantNumeric: "tabular-nums" }}>
                {contributions.map((one) => (
                  <Table.Tr key={one.feature}>
                    <Table.Td>{one.feature}</Table.Td>
                    <Table.Td ta="right">{short(one.value ?? undefined)}</Table.Td>
                    <Table.Td ta="right">{short(one.median ?? undefined)}</Table.Td>
                    <Table.Td ta="right">{one.contribution > 0 ? "+" : ""}{short(one.contribution)}</Table.Td>
                  </Table.Tr>
                ))}
              </Table.Tbody>
            </Table>
          </Table.ScrollContainer>
          {answer.explanation?.description && <Text size="xs" c="dimmed">{answer.explanation.description}</Text>}
        </section>
      )}
      <section aria-label={t("Versions")}>
        <Title order={2} mb={4}>{t("Where it comes from")}</Title>
        <Source what={t("Model")} asset={answer.model} version={answer.model_data_version} />
        {answer.features_data_version && <Source what={t("Features")} asset={answer.features_table} version={answer.features_data_version} />}
      </section>
    </Stack>
  );
}

function Source({ what, asset, version }: { what: string; asset: string; version: string }) {
  return (
    <Text size="sm" style={{ overflowWrap: "anywhere" }}>
      {what}: <Anchor size="sm" underline="always" renderRoot={(props) => <Link {...props} to="/$service/$plural/$id" params={{ service: "ai-catalog", plural: "assets", id: asset }} />}>{asset}</Anchor> <Code>{version}</Code>
    </Text>
  );
}

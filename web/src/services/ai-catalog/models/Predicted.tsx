import { Anchor, Code, Group, Progress, Stack, Table, Text, Title } from "@mantine/core";
import { Link } from "@tanstack/react-router";
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
      <section aria-label="Prediction">
        <Group gap="sm" mb={4}>
          <Title order={2}>{percent} % {answer.target}</Title>
          <State color={prediction.label ? "orange" : "teal"}>{answer.target}: {prediction.label ? "yes" : "no"}</State>
        </Group>
        <Progress value={prediction.probability * 100} size="lg" aria-label={`Probability of ${answer.target}`} />
        <Text size="sm" c="dimmed">The answer is yes from {(answer.threshold * 100).toFixed(1)} % on.</Text>
        {prediction.missing.length > 0 && <Text size="sm">Without a value: {prediction.missing.join(", ")}.</Text>}
        {prediction.out_of_range.length > 0 && <Text size="sm">Outside the range of the training: {prediction.out_of_range.join(", ")}.</Text>}
      </section>
      {contributions.length > 0 && (
        <section aria-label="Contributions">
          <Title order={2} mb={4}>What moved it</Title>
          <Chart
            kind="bar"
            label="Change of the log-odds by each input"
            x={{ name: "Input" }}
            y={{ name: "Contribution", unit: "log-odds" }}
            series={[{ name: "Contribution", points: contributions.map((one) => [one.feature, one.contribution]) }]}
            height={240}
          />
          <Table.ScrollContainer minWidth={320}>
            <Table verticalSpacing={2} fz="sm">
              <Table.Thead><Table.Tr><Table.Th>Input</Table.Th><Table.Th ta="right">Value</Table.Th><Table.Th ta="right">Median</Table.Th><Table.Th ta="right">Contribution</Table.Th></Table.Tr></Table.Thead>
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
      <section aria-label="Versions">
        <Title order={2} mb={4}>Where it comes from</Title>
        <Source what="Model" asset={answer.model} version={answer.model_data_version} />
        {answer.features_data_version && <Source what="Features" asset={answer.features_table} version={answer.features_data_version} />}
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

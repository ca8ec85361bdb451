import { Anchor, Button, Code, Group, Select, Skeleton, Stack, Table, Text, Title } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { rich, t } from "../../../language/text";
import { Chart } from "../../../ui/Chart";
import { Time } from "../../../ui/Time";
import { Trouble } from "../../../ui/Trouble";
import { assets } from "../assets";
import { short } from "../models/models";
import { type ClientRound, type Figure, FIGURES, linesOf, type Round, roundsOf, trainingsOf } from "./rounds";

export interface RoundsSearch {
  asset?: string;
  training?: string;
  figure?: string;
  round?: number;
}

/** The kind of the assets that are federated trainings. */
const KIND = "flower";

/** Federated trainings: how the model became better on each client, round by round. */
export function RoundsPage() {
  const search = useSearch({ from: "/rounds" });
  const navigate = useNavigate({ from: "/rounds" });
  const known = useQuery(assets);
  const all = [...(known.data?.values() ?? [])].filter((one) => one.kinds.includes(KIND));
  const asset = search.asset ?? all[0]?.id ?? "";
  const found = useQuery(roundsOf(asset));
  const trainings = trainingsOf(found.data?.rounds ?? []);
  const training = search.training && trainings.includes(search.training) ? search.training : trainings[0];
  const rounds = (found.data?.rounds ?? []).filter((one) => one.training === training);
  const figure: Figure = search.figure && search.figure in FIGURES ? (search.figure as Figure) : "auc";
  const shown = rounds.find((one) => one.round === search.round) ?? rounds.at(-1);
  const change = (changed: RoundsSearch) => void navigate({ search: (before) => ({ ...before, ...changed }), replace: true });
  if (known.isSuccess && !all.length && !search.asset) return <NoTraining />;
  return (
    <Stack gap="md">
      <div>
        <Title order={1}>{t("Federated rounds")}</Title>
        <Text size="sm" c="dimmed">{t("Clients train one model together and share no row. Each round averages what they learned.")}</Text>
      </div>
      {(known.error || found.error) && <Trouble error={known.error ?? found.error} retry={() => { void known.refetch(); void found.refetch(); }} />}
      <Group gap="sm" align="flex-end">
        <Select label={t("Training")} miw={240} searchable allowDeselect={false} data={all.map((one) => one.id)} value={asset || null} onChange={(value) => change({ asset: value ?? undefined, training: undefined, round: undefined })} />
        {trainings.length > 1 && <Select label={t("Start")} miw={240} allowDeselect={false} data={trainings.map((one, number) => ({ value: one, label: number ? one : t("{one} (newest)", { one }) }))} value={training ?? null} onChange={(value) => change({ training: value ?? undefined, round: undefined })} />}
        <Select label={t("Figure")} miw={200} allowDeselect={false} data={Object.entries(FIGURES).map(([value, { label }]) => ({ value, label }))} value={figure} onChange={(value) => change({ figure: value === "auc" ? undefined : (value ?? undefined) })} />
      </Group>
      {found.isLoading && <Skeleton height={320} />}
      {found.isSuccess && !rounds.length && (
        <Group><Text c="dimmed">{t("No round is finished yet.")}</Text><Button size="xs" variant="default" renderRoot={(props) => <Link {...props} to="/$service/$plural/$id" params={{ service: "ai-catalog", plural: "assets", id: asset }} />}>{t("Open the asset")}</Button></Group>
      )}
      {rounds.length > 0 && found.data && (
        <>
          <Chart
            kind="line"
            label={t("{label} of each client over the rounds", { label: FIGURES[figure].label })}
            x={{ name: t("Round") }}
            y={{ name: FIGURES[figure].label, unit: FIGURES[figure].unit }}
            series={linesOf(rounds, figure)}
          />
          <Text size="sm" c="dimmed" style={{ overflowWrap: "anywhere" }}>
            {rich("{count} rounds of {strategy}. Read from {asset} {version}", { count: rounds.length, strategy: rounds[0]?.strategy, asset: <Anchor size="sm" underline="always" renderRoot={(props) => <Link {...props} to="/$service/$plural/$id" params={{ service: "ai-catalog", plural: "assets", id: asset }} />}>{asset}</Anchor>, version: <Code>{found.data.version}</Code> })}
          </Text>
          {shown && <Clients round={shown} rounds={rounds} onRound={(round) => change({ round: round === rounds.at(-1)?.round ? undefined : round })} />}
        </>
      )}
    </Stack>
  );
}

function Clients({ round, rounds, onRound }: { round: Round; rounds: Round[]; onRound: (round: number) => void }) {
  return (
    <section aria-label={t("Clients")}>
      <Group justify="space-between" mb="xs" align="flex-end">
        <div>
          <Title order={2}>{t("Clients in round {round}", { round: round.round })}</Title>
          <Text size="sm" c="dimmed" style={{ overflowWrap: "anywhere" }}>{rich("{trained} of {count} trained, finished {time}. They read {inputVersion}", { trained: round.trained, count: round.clients.length, time: <Time value={round.finishedAt} />, inputVersion: <Code>{round.inputVersion}</Code> })}</Text>
        </div>
        <Select size="xs" aria-label={t("Round")} w={130} allowDeselect={false} data={rounds.map((one) => ({ value: String(one.round), label: t("Round {round}", { round: one.round }) }))} value={String(round.round)} onChange={(value) => onRound(Number(value))} />
      </Group>
      <Table.ScrollContainer minWidth={640}>
        <Table verticalSpacing={4}>
          <Table.Thead><Table.Tr><Table.Th>{t("Client")}</Table.Th>{Object.entries(FIGURES).map(([name, { label, unit }]) => <Table.Th key={name} ta="right">{label}{unit === "bytes" && t(" (bytes)")}</Table.Th>)}<Table.Th>{t("Result")}</Table.Th></Table.Tr></Table.Thead>
          <Table.Tbody style={{ fontVariantNumeric: "tabular-nums" }}>
            {round.clients.map((one) => (
              <Table.Tr key={one.client}>
                <Table.Td>{one.client}</Table.Td>
                {(Object.keys(FIGURES) as Figure[]).map((name) => <Table.Td key={name} ta="right">{short(one[name] ?? undefined)}</Table.Td>)}
                <Table.Td>{failureOf(one) ?? t("Took part")}</Table.Td>
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      </Table.ScrollContainer>
    </section>
  );
}

function failureOf(client: ClientRound): string | null {
  return client.train_failure ?? client.evaluate_failure;
}

/** What a caller without federated trainings sees: the way to the first one. */
function NoTraining() {
  return (
    <Stack gap="sm" maw={640}>
      <Title order={1}>{t("Federated rounds")}</Title>
      <Text size="sm">{t("There are no federated trainings that you can see. In a federated training, clients train one model together and share no row.")}</Text>
      <Group><Button renderRoot={(props) => <Link {...props} to="/ai-catalog/definitions/new" search={{ component: "FederatedTrainingComponent" }} />}>{t("Define a federated training")}</Button></Group>
    </Stack>
  );
}

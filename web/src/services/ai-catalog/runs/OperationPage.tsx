import { Alert, Anchor, Breadcrumbs, Code, CopyButton, Group, Progress, Stack, Table, Text, Title, UnstyledButton } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { get } from "../../../api/http";
import { useLive } from "../../../api/live";
import { useLog } from "../../../api/log";
import { words } from "../../../api/schema";
import { rich, t } from "../../../language/text";
import { OperationCancel } from "./OperationCancel";
import { span } from "../../../ui/duration";
import { Log } from "../../../ui/Log";
import type { LogFilter } from "../../../ui/logLines";
import { useSeconds } from "../../../ui/now";
import { State } from "../../../ui/State";
import { Time } from "../../../ui/Time";
import { Trouble } from "../../../ui/Trouble";
import { isFinal } from "./runs";

export interface Operation {
  id: string;
  action: string;
  subject: string;
  executor: string;
  state: string;
  progress: { done: number; total: number };
  assets: string[];
  partitions: string[];
  runs: string[];
  backfill: string | null;
  produced: { asset: string; data_version: string | null; partition: string | null }[];
  steps: { name: string; state: string; attempts: number; error: string | null; started_at: string | null; finished_at: string | null }[];
  result: Record<string, unknown> | null;
  error: string | null;
  created_by: string;
  created_at: string;
  finished_at: string | null;
}

const ROUTE = "/operations/operations/$id" as const;
const PATH = "/api/v1/operations";
const MANY = 20;

/** A long operation: how far it is, what it did, and its log. */
export function OperationPage() {
  const { id } = useParams({ from: ROUTE });
  const search = useSearch({ from: ROUTE });
  const navigate = useNavigate({ from: ROUTE });
  const found = useQuery({
    queryKey: ["item", "operations", "operations", id],
    queryFn: ({ signal }) => get<Operation>(`${PATH}/${encodeURIComponent(id)}`, { signal }),
    retry: false,
  });
  useLive(["operations.operation"], ["item", "operations", "operations", id], id);
  const operation = found.data;
  const ended = operation ? isFinal(operation.state) : false;
  const log = useLog(operation ? `${PATH}/${encodeURIComponent(id)}/logs` : null, () => void found.refetch());
  const now = useSeconds(!ended);
  if (found.error) return <Trouble error={found.error} retry={() => found.refetch()} />;
  if (!operation) return null;
  const { done, total } = operation.progress;
  const unit = operation.backfill ? t("partitions") : t("steps");
  const change = (changed: LogFilter) => void navigate({ search: changed, replace: true });
  return (
    <Stack gap="md">
      <Breadcrumbs>
        <Anchor component={Link} to="/operations/operations" size="sm">{t("Operations")}</Anchor>
        <Text size="sm">{title(operation)}</Text>
      </Breadcrumbs>
      <Group justify="space-between" align="flex-start">
        <div style={{ minWidth: 0 }}>
          <Group gap="sm"><Title order={1} style={{ overflowWrap: "anywhere" }}>{title(operation)}</Title><State value={operation.state} /></Group>
          <CopyButton value={id}>
            {({ copied, copy }) => <UnstyledButton onClick={copy} title={t("Copy the id")}><Code>{copied ? t("Copied") : id}</Code></UnstyledButton>}
          </CopyButton>
          <Text size="sm" c="dimmed" mt={4}>
            {rich("{created_by}, requested {time}, {ended} {duration}", { created_by: operation.created_by, time: <Time value={operation.created_at} />, ended: ended ? t("took") : t("runs for"), duration: span(operation.created_at, operation.finished_at, now) })}
          </Text>
        </div>
        {!ended && <OperationCancel id={id} />}
      </Group>
      {total > 0 && (
        <div>
          <Progress value={(100 * done) / total} color={operation.state === "FAILED" ? "red" : undefined} aria-label={t("{done} of {total} {unit}", { done, total, unit })} />
          <Text size="xs" c="dimmed" mt={4}>{t("{done, number} of {total, number} {unit}", { done, total, unit })}</Text>
        </div>
      )}
      {operation.error && (
        <Alert color="red" variant="light" role="alert" title={operation.state === "FAILED" ? t("The operation failed") : t("The operation is undone")}>
          <Text size="sm" style={{ overflowWrap: "anywhere" }}>{operation.error}</Text>
        </Alert>
      )}
      {operation.runs.length > 0 && (
        <section aria-label={t("Runs")}>
          <Title order={2} mb="xs">{t("Runs")}</Title>
          <Group gap="md">
            {operation.runs.map((run) => <Anchor key={run} component={Link} to={`/runs/${run}`} ff="monospace" size="sm">{run.slice(0, 8)}</Anchor>)}
          </Group>
        </section>
      )}
      {operation.backfill && <Text size="sm">{rich("Backfill {backfill}", { backfill: <Code>{operation.backfill}</Code> })}</Text>}
      {operation.steps.length > 0 && <Steps steps={operation.steps} />}
      {operation.produced.length > 0 ? <Produced operation={operation} /> : <Assets assets={operation.assets} />}
      {operation.result && Object.keys(operation.result).length > 0 && (
        <section aria-label={t("Result")}><Title order={2} mb="xs">{t("Result")}</Title><Code block>{JSON.stringify(operation.result, null, 2)}</Code></section>
      )}
      <section aria-label={t("Log of the operation")}>
        <Title order={2} mb="xs">{t("Log")}</Title>
        <Log log={log} filter={search} onFilter={change} />
      </section>
    </Stack>
  );
}

/** What an operation does, in words: "Materialize flights.gold.route_delays". */
function title(operation: Operation): string {
  const verb = words(operation.action.split(".").at(-1) ?? operation.action);
  const [only] = operation.assets;
  const subject = operation.subject || (operation.assets.length === 1 ? only : operation.assets.length ? t("{count} assets", { count: operation.assets.length }) : "");
  return subject ? `${verb} ${subject}` : verb;
}

function Assets({ assets }: { assets: string[] }) {
  if (!assets.length) return null;
  return (
    <section aria-label={t("Assets")}>
      <Title order={2} mb="xs">{t("Assets")}</Title>
      <Group gap="md">
        {assets.slice(0, MANY).map((asset) => <Anchor key={asset} component={Link} to={`/ai-catalog/assets/${encodeURIComponent(asset)}`} size="sm">{asset}</Anchor>)}
        {assets.length > MANY && <Text size="sm" c="dimmed">{t("and {count} more", { count: assets.length - MANY })}</Text>}
      </Group>
    </section>
  );
}

function Produced({ operation }: { operation: Operation }) {
  return (
    <section aria-label={t("Versions")}>
      <Title order={2} mb="xs">{t("Versions")}</Title>
      <Table.ScrollContainer minWidth={320} mah={320}>
        <Table verticalSpacing={4}>
          <Table.Thead><Table.Tr><Table.Th>{t("Asset")}</Table.Th><Table.Th>{t("Version")}</Table.Th><Table.Th>{t("Partition")}</Table.Th></Table.Tr></Table.Thead>
          <Table.Tbody>
            {operation.produced.map((version) => (
              <Table.Tr key={`${version.asset} ${version.partition}`}>
                <Table.Td><Anchor component={Link} to={`/ai-catalog/assets/${encodeURIComponent(version.asset)}`} size="sm">{version.asset}</Anchor></Table.Td>
                <Table.Td>{version.data_version ? <Code>{version.data_version}</Code> : "–"}</Table.Td>
                <Table.Td>{version.partition ?? "–"}</Table.Td>
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      </Table.ScrollContainer>
    </section>
  );
}

function Steps({ steps }: { steps: Operation["steps"] }) {
  return (
    <section aria-label={t("Steps")}>
      <Title order={2} mb="xs">{t("Steps")}</Title>
      <Table.ScrollContainer minWidth={480}>
        <Table verticalSpacing={4}>
          <Table.Thead><Table.Tr><Table.Th>{t("Step")}</Table.Th><Table.Th>{t("State")}</Table.Th><Table.Th>{t("Attempts")}</Table.Th><Table.Th>{t("Error")}</Table.Th></Table.Tr></Table.Thead>
          <Table.Tbody>
            {steps.map((step) => (
              <Table.Tr key={step.name}>
                <Table.Td>{words(step.name)}</Table.Td>
                <Table.Td><State value={step.state} /></Table.Td>
                <Table.Td>{step.attempts}</Table.Td>
                <Table.Td>{step.error ?? "–"}</Table.Td>
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      </Table.ScrollContainer>
    </section>
  );
}

import { Button, Card, Code, Collapse, Group, Progress as Bar, Stack, Table, Text, Title } from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import type { Operation } from "../../../api/generated/operations";
import { get, send } from "../../../api/http";
import { useLog } from "../../../api/log";
import { t } from "../../../language/text";
import { span } from "../../../ui/duration";
import { Log } from "../../../ui/Log";
import { isError, type LogFilter } from "../../../ui/logLines";
import { State } from "../../../ui/State";
import { Trouble } from "../../../ui/Trouble";
import { RunLink } from "./AssetLink";
import { stepsOf } from "./progress";

const ROUTE = "/ai-catalog/assets/$id" as const;

/** The progress of an operation, step by step, and the log of what failed. It follows the operation until its end. */
export function Progress({ id, asset }: { id: string; asset: string }) {
  const navigate = useNavigate({ from: ROUTE });
  const queries = useQueryClient();
  const [logOpen, setLogOpen] = useState(false);
  const [filter, setFilter] = useState<LogFilter>({});
  const path = `/api/v1/operations/${encodeURIComponent(id)}`;
  const log = useLog(`${path}/logs`, () => {
    void queries.invalidateQueries({ queryKey: ["item", "ai-catalog", "assets"] });
    void queries.invalidateQueries({ queryKey: ["operations"] });
    void queries.invalidateQueries({ queryKey: ["asset part", asset, "partitions"] });
  });
  const { state, progress: { done, total }, message } = log.latest ?? { state: "PENDING", progress: { done: 0, total: 0 }, message: "" };
  const operation = useQuery({ queryKey: ["operation", id, state], queryFn: ({ signal }) => get<Operation>(path, { signal }), retry: false, placeholderData: (before) => before });
  const cancel = useMutation({ mutationFn: () => send("POST", `${path}:cancel`, { body: {} }) });
  const close = () => void navigate({ search: (before) => ({ ...before, operation: undefined }), replace: true });
  if (operation.error) return <Stack gap="xs"><Trouble error={operation.error} /><Group><Button size="xs" variant="default" onClick={close}>{t("Close")}</Button></Group></Stack>;
  const failed = state === "FAILED";
  const errors = log.lines.filter(isError);
  const steps = stepsOf(log.lines);
  const unit = operation.data?.backfill ? "partition" : "step";
  const several = (operation.data?.assets.length ?? 1) > 1;
  return (
    <Card withBorder padding="sm" component="section" aria-label={t("Progress")}>
      <Stack gap="xs">
        <Group justify="space-between">
          <Group gap="xs">
            <Title order={2}>{log.ended ? t("Run") : t("Running")}</Title>
            <State value={state} role="status" />
            <Text size="sm" c="dimmed">{total > 0 && t("{done, number} of {total, number} {unit}{total, plural, one {} other {s}}", { done, total, unit })}{several && t(", {count} assets", { count: operation.data?.assets.length })}</Text>
            {operation.data?.runs.map((run) => <RunLink key={run} id={run} text={t("Open the run")} />)}
          </Group>
          <Group gap="xs">
            {!log.ended && <Button size="xs" variant="default" color="red" loading={cancel.isPending || state === "CANCELING"} onClick={() => cancel.mutate()}>{t("Cancel")}</Button>}
            <Button size="xs" variant="default" onClick={() => setLogOpen(!logOpen)} aria-expanded={logOpen}>{logOpen ? t("Hide the log") : t("Show the log")}</Button>
            {log.ended && <Button size="xs" variant="subtle" onClick={close}>{t("Close")}</Button>}
          </Group>
        </Group>
        <Bar value={log.ended && !failed ? 100 : total ? (100 * done) / total : 5} animated={!log.ended} color={failed ? "red" : undefined} aria-label={t("Progress of the run")} />
        {cancel.error && <Trouble error={cancel.error} />}
        {failed && <Text size="sm" c="var(--mantine-color-error)" role="alert">{t("It failed: {ended}", { ended: (log.ended && message) || operation.data?.error })}</Text>}
        {steps.length > 0 && (
          <Table verticalSpacing={2} aria-label={t("Steps")} layout="fixed">
            <Table.Tbody>
              {steps.map((step) => (
                <Table.Tr key={step.name}>
                  <Table.Td w={110}><State value={step.state} size="sm" /></Table.Td>
                  <Table.Td style={{ overflowWrap: "anywhere" }}>{step.name.replaceAll("__", ".")}</Table.Td>
                  <Table.Td w={90} ta="right">{step.endedAt && span(step.startedAt, step.endedAt, 0)}</Table.Td>
                </Table.Tr>
              ))}
            </Table.Tbody>
          </Table>
        )}
        {failed && errors.length > 0 && !logOpen && <Code block mah={200} style={{ overflow: "auto", whiteSpace: "pre-wrap" }} tabIndex={0} aria-label={t("Errors in the log")}>{errors.map((line) => line.message).join("\n")}</Code>}
        <Collapse expanded={logOpen}>
          {logOpen && <Log log={log} filter={filter} onFilter={setFilter} height="360px" />}
        </Collapse>
        <Text size="xs" c="dimmed">{t("Operation {id} of {asset}", { id, asset })}</Text>
      </Stack>
    </Card>
  );
}

import { Badge, Button, Card, Code, Collapse, Group, Progress as Bar, Stack, Table, Text, Title } from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useEffect, useReducer, useState } from "react";
import { BASE, get, send } from "../../../api/http";
import { stateColor } from "../../../ui/stateColor";
import { Trouble } from "../../../ui/Trouble";
import { RunLink } from "./AssetLink";
import { after, duration, type LogEvent, type ProgressState, STARTED } from "./progress";
import type { Operation } from "../../../api/generated/operations";

type Event = { kind: "state" | "log" | "end"; event: LogEvent } | "again";

const ROUTE = "/ai-catalog/assets/$id" as const;
const COLORS = { running: "gray", succeeded: "teal", failed: "red", skipped: "gray" };

function reduced(before: ProgressState, event: Event): ProgressState {
  return event === "again" ? STARTED : after(before, event.kind, event.event);
}

/** The progress of an operation, step by step, and the log of what failed. It follows the operation until its end. */
export function Progress({ id, asset }: { id: string; asset: string }) {
  const navigate = useNavigate({ from: ROUTE });
  const queries = useQueryClient();
  const [now, add] = useReducer(reduced, STARTED);
  const [logOpen, setLogOpen] = useState(false);
  const path = `/api/v1/operations/${encodeURIComponent(id)}`;
  const operation = useQuery({ queryKey: ["operation", id, now.state], queryFn: ({ signal }) => get<Operation>(path, { signal }), retry: false, placeholderData: (before) => before });
  const cancel = useMutation({ mutationFn: () => send("POST", `${path}:cancel`, { body: {} }) });
  const exists = operation.isSuccess;
  useEffect(() => {
    if (!exists) return;
    add("again");
    const events = new EventSource(`${BASE}${path}/logs`);
    for (const kind of ["state", "log", "end"] as const) {
      events.addEventListener(kind, (message) => {
        add({ kind, event: JSON.parse((message as MessageEvent<string>).data) as LogEvent });
        if (kind !== "end") return;
        events.close();
        void queries.invalidateQueries({ queryKey: ["item", "ai-catalog", "assets"] });
        void queries.invalidateQueries({ queryKey: ["operations"] });
      });
    }
    return () => events.close();
  }, [path, exists, queries]);
  const close = () => void navigate({ search: (before) => ({ ...before, operation: undefined }), replace: true });
  if (operation.error) return <Stack gap="xs"><Trouble error={operation.error} /><Group><Button size="xs" variant="default" onClick={close}>Close</Button></Group></Stack>;
  const failed = now.state === "FAILED";
  const errors = now.lines.filter((line) => line.level === "ERROR" || line.level === "CRITICAL");
  const several = (operation.data?.assets.length ?? 1) > 1;
  return (
    <Card withBorder padding="sm" component="section" aria-label="Progress">
      <Stack gap="xs">
        <Group justify="space-between">
          <Group gap="xs">
            <Title order={2}>{now.ended ? "Run" : "Running"}</Title>
            <Badge variant="light" tt="none" color={stateColor(now.state)} role="status">{now.state.toLowerCase()}</Badge>
            <Text size="sm" c="dimmed">{now.total > 0 && `${now.done} of ${now.total} ${now.total === 1 ? "step" : "steps"}`}{several && `, ${operation.data?.assets.length} assets`}</Text>
            {operation.data?.runs.map((run) => <RunLink key={run} id={run} text="Open the run" />)}
          </Group>
          <Group gap="xs">
            {!now.ended && <Button size="xs" variant="default" color="red" loading={cancel.isPending || now.state === "CANCELING"} onClick={() => cancel.mutate()}>Cancel</Button>}
            <Button size="xs" variant="default" onClick={() => setLogOpen(!logOpen)} aria-expanded={logOpen}>{logOpen ? "Hide the log" : "Show the log"}</Button>
            {now.ended && <Button size="xs" variant="subtle" onClick={close}>Close</Button>}
          </Group>
        </Group>
        <Bar value={now.ended && !failed ? 100 : now.total ? (100 * now.done) / now.total : 5} animated={!now.ended} color={failed ? "red" : undefined} aria-label="Progress of the run" />
        {cancel.error && <Trouble error={cancel.error} />}
        {failed && <Text size="sm" c="var(--mantine-color-error)" role="alert">It failed: {now.reason || operation.data?.error}</Text>}
        {now.steps.length > 0 && (
          <Table verticalSpacing={2} aria-label="Steps" layout="fixed">
            <Table.Tbody>
              {now.steps.map((step) => (
                <Table.Tr key={step.name}>
                  <Table.Td w={100}><Badge size="sm" variant="light" tt="none" color={COLORS[step.state]}>{step.state}</Badge></Table.Td>
                  <Table.Td style={{ overflowWrap: "anywhere" }}>{step.name.replaceAll("__", ".")}</Table.Td>
                  <Table.Td w={90} ta="right">{duration(step.startedAt, step.endedAt)}</Table.Td>
                </Table.Tr>
              ))}
            </Table.Tbody>
          </Table>
        )}
        {failed && errors.length > 0 && !logOpen && <Code block mah={200} style={{ overflow: "auto", whiteSpace: "pre-wrap" }} tabIndex={0} aria-label="Errors in the log">{errors.map((line) => line.message).join("\n")}</Code>}
        <Collapse expanded={logOpen}>
          <Code block mah={360} style={{ overflow: "auto", whiteSpace: "pre-wrap" }} tabIndex={0} aria-label="Log">
            {now.lines.length ? now.lines.map((line) => `${line.at ? new Date(line.at).toLocaleTimeString() : ""} ${line.level} ${line.message}`).join("\n") : "No line yet."}
          </Code>
        </Collapse>
        <Text size="xs" c="dimmed">Operation {id} of {asset}</Text>
      </Stack>
    </Card>
  );
}

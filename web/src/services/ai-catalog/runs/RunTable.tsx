import { Anchor, Progress, Stack, Table, Text } from "@mantine/core";
import { Link } from "@tanstack/react-router";
import { t } from "../../../language/text";
import { span } from "../../../ui/duration";
import { useNow } from "../../../ui/now";
import { State } from "../../../ui/State";
import { Time } from "../../../ui/Time";
import { isFinal, type Run, starter, target } from "./runs";

/** Runs, newest first. */
export function RunTable({ runs, label, busy = false }: { runs: Run[]; label: string; busy?: boolean }) {
  const now = useNow();
  return (
    <Table.ScrollContainer minWidth={720}>
      <Table verticalSpacing={6} highlightOnHover aria-label={label} aria-busy={busy}>
        <Table.Thead>
          <Table.Tr>
            <Table.Th>{t("Run")}</Table.Th>
            <Table.Th>{t("State")}</Table.Th>
            <Table.Th>{t("Assets")}</Table.Th>
            <Table.Th>{t("Started by")}</Table.Th>
            <Table.Th>{t("Requested")}</Table.Th>
            <Table.Th>{t("Duration")}</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {runs.map((run) => (
            <Table.Tr key={run.id}>
              <Table.Td><Anchor component={Link} to={`/runs/${run.id}`} ff="monospace" size="sm">{run.id.slice(0, 8)}</Anchor></Table.Td>
              <Table.Td>
                <Stack gap={2} align="flex-start">
                  <State value={run.state} />
                  {!isFinal(run.state) && run.steps_total > 0 && <Progress w={80} size="xs" value={(100 * run.steps_done) / run.steps_total} aria-label={t("{steps_done} of {steps_total} steps", { steps_done: run.steps_done, steps_total: run.steps_total })} />}
                </Stack>
              </Table.Td>
              <Table.Td maw={320}>
                <Text size="sm" truncate="end" title={run.assets.join("\n") || run.job}>{target(run)}</Text>
                {run.partition && <Text size="xs" c="dimmed">{t("Partition {partition}", { partition: run.partition })}</Text>}
              </Table.Td>
              <Table.Td><Text size="sm" truncate="end" maw={220} title={starter(run)}>{starter(run)}</Text></Table.Td>
              <Table.Td style={{ whiteSpace: "nowrap" }}>{run.created_at && <Time value={run.created_at} />}</Table.Td>
              <Table.Td style={{ whiteSpace: "nowrap", fontVariantNumeric: "tabular-nums" }}>{span(run.started_at, run.ended_at, now) ?? "–"}</Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </Table.ScrollContainer>
  );
}

import { Badge, Code, CopyButton, Group, Stack, Text, Title, UnstyledButton } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { rich, t } from "../../../language/text";
import { Time } from "../../../ui/Time";
import { type AssetDetail, namesOf } from "./asset";
import { RunLink } from "./AssetLink";
import { MaterializeButton } from "./Materialize";
import { failureQuery } from "./RunsTab";
import { stateSentence } from "./state";
import { PageButton, PageLink } from "../../../ui/PageLink";
import { State } from "../../../ui/State";

/** What an asset is called, the state of its newest version in a sentence, and what can be done with it. */
export function Header({ asset }: { asset: AssetDetail }) {
  const sentence = stateSentence(asset);
  const { project, name } = namesOf(asset.id);
  const failedRun = asset.health === "DEGRADED" && asset.last_run?.status === "FAILED" ? asset.last_run : null;
  const failed = useQuery(failureQuery(failedRun?.id));
  return (
    <Group justify="space-between" align="flex-start" gap="sm">
      <Stack gap={6} style={{ flex: "1 1 320px", minWidth: 0 }}>
        <Group gap="xs">
          <Title order={1} style={{ overflowWrap: "anywhere" }}>{name}</Title>
          <CopyButton value={asset.id}>
            {({ copied, copy }) => <UnstyledButton onClick={copy} title={t("Copy the id")}><Code>{copied ? t("Copied") : asset.id}</Code></UnstyledButton>}
          </CopyButton>
        </Group>
        <Text size="sm" component="div" role="status">
          <State color={sentence.color} mr={6}>{sentence.state}</State>
          {sentence.text}{failed.data?.error && `: ${failed.data.error}`}
          {sentence.written && asset.materialized_at && rich(", written {time}", { time: <Time value={asset.materialized_at} /> })}
          {sentence.written && asset.run_id && <>{" "}{rich("by run {run}", { run: <RunLink id={asset.run_id} /> })}</>}
          {failedRun && <>. <RunLink id={failedRun.id} text={t("See the log of the run")} />{asset.materialized_at && rich(". The last good version is from {time}", { time: <Time value={asset.materialized_at} /> })}</>}.
        </Text>
        {asset.stale_since && <Text size="sm" c="orange">{rich("The engine that runs assets doesn't respond. This is the state of {time}.", { time: <Time value={asset.stale_since} /> })}</Text>}
        <Group gap="xs">
          <Text size="sm" c="dimmed">{rich("Project {project}", { project: <PageLink to="/assets" search={{ project: [project] }} size="sm">{project}</PageLink> })}</Text>
          <Text size="sm" c="dimmed">·</Text>
          <Text size="sm" c="dimmed">{asset.owners.length ? t("Owned by {owners}", { owners: asset.owners.join(", ") }) : t("No owner is declared")}</Text>
          {asset.kinds.map((kind) => <Badge key={kind} variant="default" tt="none" fw={400}>{kind}</Badge>)}
        </Group>
      </Stack>
      <Group gap="xs">
        <MaterializeButton asset={asset} />
        <PageButton to="/lineage" search={{ focus: asset.id }} size="xs" variant="default">{t("Lineage")}</PageButton>
        <PageButton to="/query" search={{ sql: `SELECT * FROM ${asset.id} LIMIT 100` }} size="xs" variant="default">{t("Query")}</PageButton>
      </Group>
    </Group>
  );
}

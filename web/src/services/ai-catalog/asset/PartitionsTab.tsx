import { Button, Group, Select, Skeleton, Stack, Text, TextInput } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { useMemo } from "react";
import { t } from "../../../language/text";
import { Grid } from "../../../ui/Grid";
import { State } from "../../../ui/State";
import { Trouble } from "../../../ui/Trouble";
import { assetQuery } from "./asset";
import { MaterializeButton } from "./Materialize";
import classes from "./PartitionsTab.module.css";
import { type AssetPartitions, filtered, partitionsQuery, type PartitionState, STATE_WORDS, STATES, strip } from "./partitions";
import type { AssetSearch } from "./search";

const ROUTE = "/ai-catalog/assets/$id" as const;
const PARTS = 300;
const WHILE_RUNNING_MS = 5_000;

/** The partitions of an asset with their states. Those that a filter leaves can be made together. */
export function PartitionsTab({ id }: { id: string }) {
  const { operation } = useSearch({ from: ROUTE });
  // Single partitions are no items of which changes are told.
  const known = useQuery({ ...partitionsQuery(id), refetchInterval: ({ state }) => (operation || state.data?.counts.running ? WHILE_RUNNING_MS : false) });
  if (known.error) return <Trouble error={known.error} retry={() => void known.refetch()} />;
  if (!known.data) return <Skeleton h={240} />;
  if (!known.data.total) return <Text c="dimmed">{t("This asset has no partitions yet.")}</Text>;
  return <Known id={id} known={known.data} />;
}

function Known({ id, known }: { id: string; known: AssetPartitions }) {
  const search = useSearch({ from: ROUTE });
  const navigate = useNavigate({ from: ROUTE });
  const { data: asset } = useQuery(assetQuery(id));
  const { partition_state: state, partition: text = "", from, to } = search;
  const shown = useMemo(() => filtered(known, { state, text, from, to }), [known, state, text, from, to]);
  const rows = useMemo(() => shown.map((one) => [one.key, STATE_WORDS[one.state]]), [shown]);
  const parts = useMemo(() => strip(known.states, PARTS), [known.states]);
  const change = (changed: AssetSearch) => void navigate({ search: (before) => ({ ...before, ...changed }), replace: true });
  const narrowed = Boolean(state || text || from || to);
  const counts = known.counts as unknown as Record<string, number>;
  return (
    <Stack gap="sm">
      <div className={classes.strip} aria-hidden>{parts.map((one, position) => <span key={position} data-state={one} />)}</div>
      <Group gap="xs" role="group" aria-label={t("State")}>
        {STATES.map((one) => (
          <Button key={one} size="compact-sm" variant={state === one ? "filled" : "default"} aria-pressed={state === one} onClick={() => change({ partition_state: state === one ? undefined : one })}>
            {STATE_WORDS[one]}: {(counts[one.toLowerCase()] ?? 0).toLocaleString()}
          </Button>
        ))}
      </Group>
      <Group gap="xs" align="flex-end">
        <TextInput label={t("Key contains")} size="xs" value={text} onChange={(event) => change({ partition: event.currentTarget.value || undefined })} />
        <Select label={t("From")} size="xs" data={known.keys} limit={200} searchable clearable placeholder={t("The first")} value={from ?? null} onChange={(key) => change({ from: key ?? undefined })} />
        <Select label={t("To")} size="xs" data={known.keys} limit={200} searchable clearable placeholder={t("The last")} value={to ?? null} onChange={(key) => change({ to: key ?? undefined })} />
        {narrowed && <Button size="xs" variant="subtle" onClick={() => change({ partition_state: undefined, partition: undefined, from: undefined, to: undefined })}>{t("Clear filters")}</Button>}
      </Group>
      <Group justify="space-between">
        <Text size="sm" c="dimmed" role="status">
          {t("{count, number} of {total, number} partitions{count2}", { count: shown.length, total: known.total, count2: known.keys.length < known.total && t(". Only the last {count, number} can be shown.", { count: known.keys.length }) })}
        </Text>
        {asset && <MaterializeButton asset={asset} chosen={shown.map((one) => one.key)} />}
      </Group>
      {shown.length > 0
        ? <Grid label={t("Partitions of {id}", { id })} columns={[{ name: t("Partition") }, { name: t("State") }]} rows={rows} render={(value, column) => (column === 1 ? <Word word={String(value)} /> : undefined)} />
        : <Text c="dimmed">{t("No partition matches the filters.")}</Text>}
    </Stack>
  );
}

function Word({ word }: { word: string }) {
  const state = STATES.find((one) => STATE_WORDS[one] === word) as PartitionState;
  return <State value={state} size="sm" color={state === "MATERIALIZED" ? "teal" : undefined}>{word}</State>;
}

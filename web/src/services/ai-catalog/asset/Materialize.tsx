import { Alert, Button, Checkbox, Group, List, Modal, SegmentedControl, Skeleton, Stack, Text } from "@mantine/core";
import { keepPreviousData, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { send } from "../../../api/http";
import { allowed } from "../../../api/platform";
import { Trouble } from "../../../ui/Trouble";
import { type AssetDetail, assetPage, assetPath, partQuery } from "./asset";
import { AssetLink } from "./AssetLink";
import { Partitions } from "./Partitions";
import { partitionsQuery, type Selection, selectedKeys } from "./partitions";
import type { MaterializePlan as Plan } from "../../../api/generated/ai-catalog";
import { rich, t } from "../../../language/text";
import { State } from "../../../ui/State";

const PERMISSION = "ai_catalog.asset.materialize";
const STALENESS: Record<string, string> = { FRESH: t("up to date"), STALE: t("stale"), MISSING: t("not made yet") };

type Target = Pick<AssetDetail, "id" | "executable" | "partitioned">;

interface Props {
  asset: Target;
  /** Keys of partitions that the user has chosen. */
  chosen?: string[];
}

/** The button that makes an asset, with a preview of what will run. */
export function MaterializeButton({ asset, chosen }: Props) {
  const [open, setOpen] = useState(false);
  const { data: rights } = useQuery(allowed([PERMISSION], { id: asset.id, kind: "ai_catalog.asset" }));
  const permitted = rights?.has(PERMISSION) ?? false;
  const title = rights && !permitted ? t("You need the permission {PERMISSION}.", { PERMISSION }) : !asset.executable ? t("This asset can't be materialized.") : undefined;
  return (
    <>
      <Button size="xs" disabled={!permitted || !asset.executable || chosen?.length === 0} title={title} onClick={() => setOpen(true)}>
        {chosen ? t("Materialize these {count, number}", { count: chosen.length }) : t("Materialize")}
      </Button>
      <Modal opened={open} onClose={() => setOpen(false)} title={t("Materialize {id}", { id: asset.id })} size="lg">
        {open && <Content asset={asset} chosen={chosen} onClose={() => setOpen(false)} />}
      </Modal>
    </>
  );
}

function Content({ asset, chosen, onClose }: Props & { onClose: () => void }) {
  const navigate = useNavigate();
  const queries = useQueryClient();
  const [upstream, setUpstream] = useState(false);
  const [accepts, setAccepts] = useState(false);
  const [selection, setSelection] = useState<Selection>(chosen ? { kind: "chosen", chosen } : { kind: "all" });
  const plan = useQuery({ ...partQuery<Plan>(asset.id, "materialize-plan", { upstream }), placeholderData: keepPreviousData });
  const known = useQuery(partitionsQuery(asset.id, asset.partitioned));
  const partitioned = plan.data?.partitioned ?? asset.partitioned;
  const partitions = partitioned && known.data ? selectedKeys(selection, known.data) : [];
  const launch = useMutation({
    mutationFn: () => {
      const all = partitioned && selection.kind === "all";
      const body = { upstream, accept_unchecked: accepts, all_partitions: all, partitions: all ? [] : partitions };
      return send<{ id: string }>("POST", assetPath(asset.id, ":materialize"), { body });
    },
    onSuccess: ({ body }) => {
      onClose();
      void queries.invalidateQueries({ queryKey: ["operations", asset.id] });
      void navigate({ to: assetPage(asset.id), search: (before: Record<string, unknown>) => ({ ...before, operation: body.id }) });
    },
  });
  const found = plan.data;
  const refused = found?.assets.filter((one) => !one.allowed) ?? [];
  const ready = Boolean(found) && !plan.isPlaceholderData && !found?.problem && !refused.length && (!partitioned || selection.kind === "all" || partitions.length > 0);
  // Disabled only when it is known why: a disabled button would not take the focus while the plan is read.
  const refusedNow = Boolean(found) && !plan.isPlaceholderData && !ready;
  return (
    <form onSubmit={(event) => { event.preventDefault(); if (ready) launch.mutate(); }}>
      <Stack gap="md">
        <SegmentedControl
          aria-label={t("What to materialize")}
          value={upstream ? "upstream" : "one"}
          onChange={(chosen) => setUpstream(chosen === "upstream")}
          data={[{ value: "one", label: t("Only this asset") }, { value: "upstream", label: t("With everything upstream") }]}
        />
        {partitioned && <Partitions known={known.data} value={selection} onChange={setSelection} />}
        {known.error && <Trouble error={known.error} retry={() => known.refetch()} />}
        {plan.error && <Trouble error={plan.error} retry={() => plan.refetch()} />}
        {plan.isPending && <Skeleton h={60} />}
        {found?.problem && <Alert color="orange" variant="light">{found.problem}</Alert>}
        {found && found.assets.length > 0 && (
          <section aria-label={t("What will run")}>
            <Text size="sm" fw={600} mb={4}>{t("{count, plural, one {One asset will run} other {{count} assets will run}}", { count: found.assets.length })}</Text>
            <List size="sm" listStyleType="none" mah={240} style={{ overflowY: "auto" }} tabIndex={0}>
              {found.assets.map((one) => (
                <List.Item key={one.asset}>
                  <Group gap={6}>
                    <AssetLink id={one.asset} />
                    <State size="sm" value={one.staleness}>{STALENESS[one.staleness] ?? one.staleness}</State>
                    {one.together && <Text size="xs" c="dimmed">{t("the same step makes it")}</Text>}
                    {!one.allowed && <Text size="xs" c="var(--mantine-color-error)">{t("you can't materialize it")}</Text>}
                  </Group>
                </List.Item>
              ))}
            </List>
          </section>
        )}
        {found && found.blockers.length > 0 && (
          <Alert color="orange" variant="light" title={t("Checks of inputs would stop it")}>
            <List size="sm" mb="xs">{found.blockers.map((one) => <List.Item key={`${one.asset} ${one.check}`}>{rich("{check} of {asset} {status}", { check: one.check, asset: <AssetLink id={one.asset} />, status: one.status === "FAILED" ? t("failed") : t("was not evaluated") })}</List.Item>)}</List>
            <Checkbox label={t("Read these inputs all the same. The run records that.")} checked={accepts} onChange={(event) => setAccepts(event.currentTarget.checked)} />
          </Alert>
        )}
        {launch.error && <Trouble error={launch.error} />}
        <Group justify="flex-end">
          <Button variant="default" onClick={onClose}>{t("Cancel")}</Button>
          <Button type="submit" loading={launch.isPending} disabled={refusedNow} data-autofocus>{t("Materialize")}</Button>
        </Group>
      </Stack>
    </form>
  );
}

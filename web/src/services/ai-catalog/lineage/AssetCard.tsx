import { Button, Group, Text, UnstyledButton } from "@mantine/core";
import { Handle, type Node, type NodeProps, Position as Side, useStore } from "@xyflow/react";
import { t } from "../../../language/text";
import { stateColor } from "../../../ui/stateColor";
import type { Asset, Direction } from "./graph";
import { type Group as AssetGroup } from "./groups";
import classes from "./Cards.module.css";
import { State } from "../../../ui/State";

/** At a smaller zoom, only names are readable. */
const READABLE = 0.45;

export type Mark = "focus" | "affected" | null;

export type AssetNode = Node<{
  asset: Asset;
  mark: Mark;
  /** Numbers of neighbors that the page doesn't show. */
  hidden: Record<Direction, number>;
  onFocus: (id: string) => void;
  onMore: (id: string) => void;
}>;

export type GroupNode = Node<{ group: AssetGroup; onOpen: (name: string) => void }>;

export function AssetCard({ data: { asset, mark, hidden, onFocus, onMore } }: NodeProps<AssetNode>) {
  const readable = useStore((store) => store.transform[2] >= READABLE);
  const [project, layer, ...name] = asset.id.split(".");
  const more = hidden.upstream + hidden.downstream;
  return (
    <div className={classes.card} data-mark={mark ?? undefined} data-state={stateColor(asset.health)}>
      <Handle type="target" position={Side.Left} isConnectable={false} />
      <UnstyledButton className={`${classes.name} nodrag nopan`} title={asset.id} onClick={() => onFocus(asset.id)}>{name.join(".")}</UnstyledButton>
      {readable && (
        <>
          <Text size="xs" c="dimmed" truncate="end" title={asset.owners.join(", ")}>{[project, layer, ...asset.owners.slice(0, 1)].join(" · ")}</Text>
          <Group gap={4} wrap="nowrap">
            <State value={asset.health} size="xs" />
            {asset.running && <State size="xs" value="RUNNING" />}
            {mark === "affected" && <State size="xs" color="red">{t("Affected")}</State>}
            {more > 0 && <Button className="nodrag nopan" size="compact-xs" variant="subtle" ml="auto" onClick={() => onMore(asset.id)} title={t("Show {upstream} more inputs and {downstream} more outputs", { upstream: hidden.upstream, downstream: hidden.downstream })}>+{more}</Button>}
          </Group>
        </>
      )}
      <Handle type="source" position={Side.Right} isConnectable={false} />
    </div>
  );
}

export function GroupCard({ data: { group, onOpen } }: NodeProps<GroupNode>) {
  const states = Object.entries(group.states).sort(([, one], [, other]) => other - one);
  return (
    <div className={`${classes.card} ${classes.group}`}>
      <Handle type="target" position={Side.Left} isConnectable={false} />
      <UnstyledButton className={`${classes.name} nodrag nopan`} title={t("Open {name}", { name: group.name })} onClick={() => onOpen(group.name)}>{group.name}</UnstyledButton>
      <Text size="xs" c="dimmed">{group.size.toLocaleString()} {t("{count, plural, one {asset} other {assets}}", { count: group.size })}</Text>
      <Group gap={4} wrap="nowrap" style={{ overflow: "hidden" }}>
        {states.map(([state, count]) => <State key={state} size="xs" value={state} miw="fit-content">{count.toLocaleString()} {state.toLowerCase()}</State>)}
      </Group>
      <Handle type="source" position={Side.Right} isConnectable={false} />
    </div>
  );
}

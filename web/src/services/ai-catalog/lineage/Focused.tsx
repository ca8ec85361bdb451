import { Anchor, Button, Card, Group, NumberInput, Text } from "@mantine/core";
import { Link } from "@tanstack/react-router";
import { rich, t } from "../../../language/text";
import { Time } from "../../../ui/Time";
import { type Asset, type Graph, reached } from "./graph";
import { Impact } from "./Impact";

const EVERYTHING = 10_000;

interface Props {
  asset: Asset;
  graph: Graph;
  up: number;
  down: number;
  impact: boolean;
  column: string;
  onChange: (changed: { up?: number; down?: number; impact?: boolean; column?: string }) => void;
  onLeave: () => void;
}

/** The asset on which the graph is centered: its surroundings, and what a change of it affects. */
export function Focused({ asset, graph, up, down, impact, column, onChange, onLeave }: Props) {
  const upstream = reached(graph.assets, asset.id, "upstream", EVERYTHING).size - 1;
  const downstream = reached(graph.assets, asset.id, "downstream", EVERYTHING).size - 1;
  const count = (number: number) => t("{number, plural, one {# asset} other {# assets}}", { number });
  return (
    <Card withBorder padding="sm" style={{ flexShrink: 0, maxHeight: "40dvh", overflowY: "auto" }}>
      <Group justify="space-between" align="flex-start">
        <div>
          <Anchor component={Link} to={`/ai-catalog/assets/${encodeURIComponent(asset.id)}`} fw={600}>{asset.id}</Anchor>
          <Text size="sm">
            {rich("Made from {upstream}. A change affects {downstream}.{materialized_at}", { upstream: count(upstream), downstream: count(downstream), materialized_at: asset.materialized_at && <>{" "}{rich("Materialized {time}.", { time: <Time value={asset.materialized_at} /> })}</> })}
          </Text>
          <Text size="sm" c="dimmed">{asset.owners.length ? t("Owned by {owners}.", { owners: asset.owners.join(", ") }) : t("It has no owner.")}</Text>
        </div>
        <Group gap="xs" align="flex-end">
          <NumberInput size="xs" w={88} label={t("Steps up")} min={0} max={100} value={up} onChange={(value) => onChange({ up: Number(value) || 0 })} />
          <NumberInput size="xs" w={88} label={t("Steps down")} min={0} max={100} value={down} onChange={(value) => onChange({ down: Number(value) || 0 })} />
          <Button size="xs" variant="default" onClick={() => onChange({ impact: !impact, column: undefined })}>{impact ? t("Hide effects") : t("Show effects")}</Button>
          <Button size="xs" variant="default" onClick={onLeave}>{t("Show all")}</Button>
        </Group>
      </Group>
      {impact && <Impact asset={asset.id} column={column} onColumn={(chosen) => onChange({ column: chosen })} />}
    </Card>
  );
}

import { Anchor, Group, Text } from "@mantine/core";
import { Link } from "@tanstack/react-router";
import type { AssetMatch } from "../../api/generated/ai-catalog";
import { rich, t } from "../../language/text";
import { State } from "../../ui/State";
import { Time } from "../../ui/Time";

/** An asset in a section: its state, and why it is in it. */
export function AssetEntry({ asset }: { asset: AssetMatch }) {
  const state = asset.running ? "RUNNING" : asset.health;
  const reason = asset.health_reasons[0];
  return (
    <li>
      <Group justify="space-between" wrap="nowrap" gap="xs">
        <Anchor component={Link} to={`/ai-catalog/assets/${encodeURIComponent(asset.id)}`} size="sm" truncate>{asset.id}</Anchor>
        <State value={state} flex="none" />
      </Group>
      <Text size="xs" c="dimmed" lineClamp={2}>
        {reason && state !== "RUNNING" ? <>{reason} · </> : null}
        {asset.materialized_at ? rich("written {time}", { time: <Time value={asset.materialized_at} /> }) : t("never materialized")}
      </Text>
    </li>
  );
}

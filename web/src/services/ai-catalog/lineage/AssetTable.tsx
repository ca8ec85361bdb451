import { Anchor, Text } from "@mantine/core";
import { Link } from "@tanstack/react-router";
import { useMemo } from "react";
import { words } from "../../../api/schema";
import { t } from "../../../language/text";
import { Grid } from "../../../ui/Grid";
import { Time } from "../../../ui/Time";
import type { Graph } from "./graph";

const COLUMNS = [t("Asset"), t("Health"), t("Data"), t("Owners"), t("Inputs"), t("Outputs"), t("Inputs with a newer version"), t("Materialized")].map((name) => ({ name }));
const MATERIALIZED = 7;

/** The graph as a table: for screen readers, and for everyone who compares. */
export function AssetTable({ graph, ids }: { graph: Graph; ids: Set<string> }) {
  const rows = useMemo(() => {
    const behind = new Map<string, string[]>();
    for (const edge of graph.edges) if (edge.behind) behind.set(edge.target, [...(behind.get(edge.target) ?? []), edge.source]);
    return [...ids].sort().flatMap((id) => {
      const asset = graph.assets.get(id);
      if (!asset) return [];
      const { health, staleness, owners, upstream, downstream, materialized_at } = asset;
      return [[id, words(health.toLowerCase()), words(staleness.toLowerCase()), owners.join(", "), upstream.join(", "), downstream.join(", "), behind.get(id)?.join(", ") ?? "", materialized_at]];
    });
  }, [graph, ids]);
  return (
    <Grid
      label={t("Assets")}
      columns={COLUMNS}
      rows={rows}
      maxHeight="70dvh"
      render={(value, column) => {
        if (column === 0) return <Anchor component={Link} to={`/ai-catalog/assets/${encodeURIComponent(String(value))}`} size="sm">{String(value)}</Anchor>;
        if (column === MATERIALIZED) return value ? <Time value={String(value)} /> : <Text span size="sm" c="dimmed">{t("never")}</Text>;
        return undefined;
      }}
    />
  );
}

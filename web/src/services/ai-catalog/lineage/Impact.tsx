import { Anchor, Group, List, Loader, Select, Stack, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import type { Impact as ImpactAnswer, TableSchema } from "../../../api/generated/ai-catalog";
import { get } from "../../../api/http";
import { Trouble } from "../../../ui/Trouble";

export const impact = (asset: string, column: string) => ({
  queryKey: ["impact", asset, column],
  queryFn: ({ signal }: { signal: AbortSignal }) => get<ImpactAnswer>(`/api/v1/ai-catalog/assets/${encodeURIComponent(asset)}/impact`, { query: { column }, signal }),
  retry: false,
});

interface Props {
  asset: string;
  column: string;
  onColumn: (column: string | undefined) => void;
}

const MOST = 12;

/** What breaks if an asset, or one of its columns, changes. */
export function Impact({ asset, column, onColumn }: Props) {
  const found = useQuery(impact(asset, column));
  const schema = useQuery({
    queryKey: ["columns", asset],
    queryFn: () => get<TableSchema>(`/api/v1/ai-catalog/assets/${encodeURIComponent(asset)}/schema`),
    retry: false,
  });
  const answer = found.data;
  const others = answer ? ([["definition", answer.definitions], ["check", answer.checks], ["schedule", answer.schedules], ["sensor", answer.sensors], ["trained model version", answer.models]] as const) : [];
  return (
    <Stack gap="xs" component="section" aria-label="What a change affects">
      <Group gap="xs">
        <Text size="sm" fw={600}>If this changes:</Text>
        <Select aria-label="Column" size="xs" clearable searchable placeholder="The whole asset" data={[...new Set(schema.data?.columns.map((one) => one.name))]} value={column || null} onChange={(chosen) => onColumn(chosen ?? undefined)} />
      </Group>
      {found.isPending && <Loader size="xs" />}
      {found.error && <Trouble error={found.error} retry={() => found.refetch()} />}
      {answer && (
        <>
          <Text size="sm">
            Affects {answer.assets.length.toLocaleString()} {answer.assets.length === 1 ? "asset" : "assets"}
            {others.filter(([, list]) => list.length).map(([name, list]) => `, ${list.length.toLocaleString()} ${name}${list.length === 1 ? "" : "s"}`).join("")}.
            {answer.truncated && " There is more than the platform counted."}
          </Text>
          <List size="sm" spacing={2}>
            {answer.assets.slice(0, MOST).map((one) => (
              <List.Item key={one.asset}>
                <Anchor component={Link} to={`/ai-catalog/assets/${encodeURIComponent(one.asset)}`} size="sm" ff="monospace">{one.asset}</Anchor>{" "}
                <Text span size="xs" c="dimmed">{one.certainty === "EXACT" ? "certainly" : "possibly"}, {one.distance} {one.distance === 1 ? "step" : "steps"} away</Text>
              </List.Item>
            ))}
          </List>
          {answer.assets.length > MOST && <Text size="xs" c="dimmed">The graph marks all {answer.assets.length.toLocaleString()}.</Text>}
        </>
      )}
    </Stack>
  );
}

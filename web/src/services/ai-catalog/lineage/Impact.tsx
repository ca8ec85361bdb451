import { Anchor, Group, List, Loader, Select, Stack, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import type { Impact as ImpactAnswer, TableSchema } from "../../../api/generated/ai-catalog";
import { get } from "../../../api/http";
import { t } from "../../../language/text";
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
  const others = answer ? ([[t("definition"), answer.definitions], [t("check"), answer.checks], [t("schedule"), answer.schedules], [t("sensor"), answer.sensors], [t("trained model version"), answer.models]] as const) : [];
  return (
    <Stack gap="xs" component="section" aria-label={t("What a change affects")}>
      <Group gap="xs">
        <Text size="sm" fw={600}>{t("If this changes:")}</Text>
        <Select aria-label={t("Column")} size="xs" clearable searchable placeholder={t("The whole asset")} data={[...new Set(schema.data?.columns.map((one) => one.name))]} value={column || null} onChange={(chosen) => onColumn(chosen ?? undefined)} />
      </Group>
      {found.isPending && <Loader size="xs" />}
      {found.error && <Trouble error={found.error} retry={() => found.refetch()} />}
      {answer && (
        <>
          <Text size="sm">
            {t("Affects {count, number} {count, plural, one {asset} other {assets}}{others}.{truncated}", { count: answer.assets.length, others: others.filter(([, list]) => list.length).map(([name, list]) => `, ${list.length.toLocaleString()} ${name}${list.length === 1 ? "" : "s"}`).join(""), truncated: answer.truncated && t(" There is more than the platform counted.") })}
          </Text>
          <List size="sm" spacing={2}>
            {answer.assets.slice(0, MOST).map((one) => (
              <List.Item key={one.asset}>
                <Anchor component={Link} to={`/ai-catalog/assets/${encodeURIComponent(one.asset)}`} size="sm" ff="monospace">{one.asset}</Anchor>{" "}
                <Text span size="xs" c="dimmed">{t("{certainty}, {distance} {distance, plural, one {step} other {steps}} away", { certainty: one.certainty === "EXACT" ? t("certainly") : t("possibly"), distance: one.distance })}</Text>
              </List.Item>
            ))}
          </List>
          {answer.assets.length > MOST && <Text size="xs" c="dimmed">{t("The graph marks all {count, number}.", { count: answer.assets.length })}</Text>}
        </>
      )}
    </Stack>
  );
}

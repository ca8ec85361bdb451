import { List, Text, Title } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import type { Release } from "../../../api/generated/ai-catalog";
import { get } from "../../../api/http";
import { rich, t } from "../../../language/text";
import { PageLink } from "../../../ui/PageLink";
import { Time } from "../../../ui/Time";

/** The releases that let others read copies of an asset without the right to read the asset. */
export function Releases({ id }: { id: string }) {
  const releases = useQuery({
    queryKey: ["items", "ai-catalog", "releases", id],
    queryFn: ({ signal }) => get<{ items: Release[] }>("/api/v1/ai-catalog/releases", { query: { filter: `asset == ${JSON.stringify(id)}`, page_size: 50 }, signal }),
    retry: false,
  });
  const active = releases.data?.items.filter((one) => !one.revoked_at) ?? [];
  if (!active.length) return null;
  return (
    <section aria-label={t("Released copies")}>
      <Title order={2} mb={4}>{t("Released copies")}</Title>
      <Text size="sm" c="dimmed" mb="xs">{t("Who reads these copies needs no right to read this asset.")}</Text>
      <List size="sm" listStyleType="none">
        {active.map((one) => (
          <List.Item key={one.id}>
            {rich("<link>{copies}</link>, by {created_by} {time}{expires_at}: {reason}", { link: (inside) => <PageLink to={`/ai-catalog/releases/${one.id}`} size="sm">{inside}</PageLink>, copies: one.copies ?? t("All copies"), created_by: one.created_by, time: <Time value={one.created_at} />, expires_at: one.expires_at && rich(", until {time}", { time: <Time value={one.expires_at} /> }), reason: one.reason })}
          </List.Item>
        ))}
      </List>
    </section>
  );
}

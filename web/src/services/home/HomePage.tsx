import { Anchor, Group, SimpleGrid, Stack, Text, Title } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useLive } from "../../api/live";
import { usePreferences } from "../../api/preferences";
import { rich, t } from "../../language/text";
import { useRecent } from "../../ui/recent";
import { Time } from "../../ui/Time";
import { AssetEntry } from "./AssetEntry";
import { FirstSteps } from "./FirstSteps";
import { ATTENTION, found, ownerNames, userInfo, waiting } from "./found";
import { Section } from "./Section";

/** What the user is responsible for, what failed and why, what changed, and what waits for them. */
export function HomePage() {
  const { data: user } = useQuery(userInfo);
  const mine = useQuery({ ...found({ owner: user ? ownerNames(user) : [], sort_by: "health" }), enabled: Boolean(user) });
  const attention = useQuery(found({ health: ATTENTION, sort_by: "health" }));
  const changed = useQuery(found({ staleness: ["FRESH", "STALE"], sort_by: "newest" }));
  const decisions = useQuery({ ...waiting(user?.preferred_username ?? ""), enabled: Boolean(user), retry: false });
  const favorites = usePreferences()?.favorites ?? [];
  const recent = useRecent().filter((one) => one.path !== "/");
  useLive(["ai_catalog.asset"], ["assets"]);
  useLive(["ai_catalog.access_request", "ai_catalog.stage_request"], ["waiting"]);
  return (
    <Stack gap="md">
      <Group justify="space-between" align="baseline">
        <Title order={1}>{user ? t("Hello, {name}", { name: user.name || user.preferred_username }) : t("Home")}</Title>
        {attention.data && (
          <Text size="sm" c="dimmed">
            {t("{total} assets have rows, {total2, number} need attention", { total: changed.data?.total.toLocaleString(), total2: attention.data.total })}
          </Text>
        )}
      </Group>
      <FirstSteps />
      <SimpleGrid cols={{ base: 1, md: 2 }} spacing="md">
        <Section
          title={t("Needs attention")}
          empty={t("Nothing that you can see is degraded, stale, or warns.")}
          all={<Anchor component={Link} to={`/assets?sort=health&health=${encodeURIComponent(JSON.stringify(ATTENTION))}`} size="sm">{t("All")}</Anchor>}
          error={attention.error}
          isPending={attention.isPending}
        >
          {attention.data?.items.map((one) => <AssetEntry key={one.id} asset={one} />) ?? []}
        </Section>
        <Section title={t("Waits for you")} empty={t("No request waits for your decision.")} error={decisions.error} isPending={decisions.isPending}>
          {decisions.data?.map((one) => (
            <li key={one.id}>
              <Anchor component={Link} to={one.page} size="sm">{one.text}</Anchor>
              <Text size="xs" c="dimmed">{rich("{by} asked {time}", { by: one.by, time: <Time value={one.at} /> })}</Text>
            </li>
          )) ?? []}
        </Section>
        <Section title={t("Yours")} empty={t("No asset names you or one of your teams as its owner.")} error={mine.error} isPending={mine.isPending}>
          {mine.data?.items.map((one) => <AssetEntry key={one.id} asset={one} />) ?? []}
        </Section>
        <Section
          title={t("Changed last")}
          empty={t("Nothing has been written yet.")}
          all={<Anchor component={Link} to="/assets?sort=newest" size="sm">{t("All")}</Anchor>}
          error={changed.error}
          isPending={changed.isPending}
        >
          {changed.data?.items.map((one) => <AssetEntry key={one.id} asset={one} />) ?? []}
        </Section>
        <Section title={t("Favorites")} empty={t("Mark a page with the star at its top, and it is here.")}>
          {favorites.map((one) => <li key={one.path}><Anchor component={Link} to={one.path} size="sm">{one.title}</Anchor></li>)}
        </Section>
        <Section title={t("Visited last")} empty={t("The pages that you visit appear here.")}>
          {recent.slice(0, 8).map((one) => <li key={one.path}><Anchor component={Link} to={one.path} size="sm">{one.title}</Anchor></li>)}
        </Section>
      </SimpleGrid>
    </Stack>
  );
}

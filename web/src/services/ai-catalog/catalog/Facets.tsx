import { Badge, Checkbox, Group, Stack, Switch, Text, UnstyledButton } from "@mantine/core";
import { useState } from "react";
import { t } from "../../../language/text";
import { stateColor } from "../../../ui/stateColor";
import { HEALTH_WORDS } from "../asset/state";
import { type CatalogSearch, type Facet, FACETS, toggled } from "./search";

export type FacetCounts = Record<Facet, { value: string; count: number }[]>;

const TITLES: Record<Facet, string> = { health: t("State"), staleness: t("Freshness"), project: t("Project"), layer: t("Layer"), kind: t("Kind"), owner: t("Owner"), label: t("Tag") };
const FRESHNESS: Record<string, string> = { FRESH: t("Up to date"), STALE: t("Inputs or code changed"), MISSING: t("Not made yet") };
const SHOWN = 8;

/** The values of each facet with the number of assets that a choice leaves. */
export function Facets({ counts, search, onChange }: { counts: FacetCounts; search: CatalogSearch; onChange: (search: CatalogSearch) => void }) {
  return (
    <Stack gap="md" component="section" aria-label={t("Filters")}>
      {FACETS.map((facet) => counts[facet].length > 0 && <FacetGroup key={facet} facet={facet} values={counts[facet]} search={search} onChange={onChange} />)}
      <Switch size="xs" label={t("Show retired assets")} checked={search.retired === true} onChange={(event) => onChange({ ...search, retired: event.currentTarget.checked || undefined })} />
    </Stack>
  );
}

function FacetGroup({ facet, values, search, onChange }: { facet: Facet; values: { value: string; count: number }[]; search: CatalogSearch; onChange: (search: CatalogSearch) => void }) {
  const [all, setAll] = useState(false);
  const chosen = search[facet] ?? [];
  const shown = all ? values : values.filter((one, position) => position < SHOWN || chosen.includes(one.value));
  return (
    <fieldset style={{ border: 0, margin: 0, padding: 0, minWidth: 0 }}>
      <Text component="legend" size="sm" fw={600} mb={4}>{TITLES[facet]}</Text>
      <Stack gap={4}>
        {shown.map(({ value, count }) => (
          <Checkbox
            key={value}
            size="xs"
            checked={chosen.includes(value)}
            onChange={() => onChange(toggled(search, facet, value))}
            label={<Group gap={6} wrap="nowrap"><Text span size="sm" style={{ overflowWrap: "anywhere" }}>{word(facet, value)}</Text><Badge size="xs" variant="light" color={facet === "health" ? stateColor(value) : "gray"}>{count.toLocaleString()}</Badge></Group>}
          />
        ))}
        {values.length > SHOWN && <UnstyledButton fz="sm" c="var(--mantine-color-anchor)" onClick={() => setAll(!all)} aria-expanded={all}>{all ? t("Show fewer") : t("Show all {count}", { count: values.length })}</UnstyledButton>}
      </Stack>
    </fieldset>
  );
}

function word(facet: Facet, value: string): string {
  if (facet === "health") return HEALTH_WORDS[value] ?? value;
  return facet === "staleness" ? (FRESHNESS[value] ?? value) : value;
}

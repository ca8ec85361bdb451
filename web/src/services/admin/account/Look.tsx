import { SegmentedControl, Select, SimpleGrid, Stack, Text, Title } from "@mantine/core";
import { useState } from "react";
import type { PreferencesChange } from "../../../api/generated/admin";
import { useChangePreferences, usePreferences } from "../../../api/preferences";
import { t } from "../../../language/text";
import { Trouble } from "../../../ui/Trouble";

const THEMES = [
  { value: "SYSTEM", label: t("System") },
  { value: "LIGHT", label: t("Light") },
  { value: "DARK", label: t("Dark") },
  { value: "HIGH_CONTRAST", label: t("High contrast") },
];
const DENSITIES = [
  { value: "COMFORTABLE", label: t("Comfortable") },
  { value: "COMPACT", label: t("Compact") },
];

/** How the console looks for the user, in every browser that they log in with. */
export function Look() {
  const now = usePreferences();
  const change = useChangePreferences();
  const [error, setError] = useState<unknown>(null);
  const [zones] = useState(() => Intl.supportedValuesOf("timeZone"));
  const save = (changed: PreferencesChange) => {
    setError(null);
    change(() => changed).catch(setError);
  };
  if (!now) return null;
  return (
    <section aria-labelledby="look">
      <Title order={2} id="look" mb="sm">{t("Appearance")}</Title>
      <Stack gap="md">
        {error !== null && <Trouble error={error} />}
        <SimpleGrid cols={{ base: 1, sm: 2 }}>
          <div>
            <Text size="sm" fw={500} id="look-theme" mb={4}>{t("Theme")}</Text>
            <SegmentedControl aria-labelledby="look-theme" fullWidth data={THEMES} value={now.theme} onChange={(theme) => save({ theme: theme as PreferencesChange["theme"] })} />
          </div>
          <div>
            <Text size="sm" fw={500} id="look-density" mb={4}>{t("Density")}</Text>
            <SegmentedControl aria-labelledby="look-density" fullWidth data={DENSITIES} value={now.density} onChange={(density) => save({ density: density as PreferencesChange["density"] })} />
          </div>
        </SimpleGrid>
        <Select
          label={t("Time zone")}
          description={t("The zone of the times that you point at. Relative times don't need one.")}
          placeholder={t("That of the browser")}
          searchable
          clearable
          limit={100}
          data={zones}
          value={now.time_zone}
          onChange={(time_zone) => save({ time_zone })}
        />
      </Stack>
    </section>
  );
}

import { MultiSelect, SegmentedControl, Select, Stack, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { send } from "../../../api/http";
import { t } from "../../../language/text";
import { Chart } from "../../../ui/Chart";
import { Trouble } from "../../../ui/Trouble";
import { ComparedTable, type ComparedValue } from "./ComparedTable";
import { aliasesOf, type ModelVersion, type RegisteredModel } from "./models";

interface Compared {
  metrics: ComparedValue[];
  params: ComparedValue[];
  checks: ComparedValue[];
  fields: ComparedValue[];
}

const PARTS = ["metrics", "params", "checks", "fields"] as const;
const LABELS = { metrics: t("Metrics"), params: t("Parameters"), checks: t("Checks"), fields: t("Inputs and outputs") };
const MAX = 20;

/** Versions of a model side by side: a chart of one metric, and tables of all that differs. */
export function Comparison({ model, versions }: { model: RegisteredModel; versions: ModelVersion[] }) {
  const [chosen, setChosen] = useState(() => versions.slice(0, 5).map((one) => one.id));
  const [part, setPart] = useState<(typeof PARTS)[number]>("metrics");
  const [metric, setMetric] = useState<string | null>(null);
  const shown = versions.filter((one) => chosen.includes(one.id)).reverse();
  const compared = useQuery({
    queryKey: ["compare", shown.map((one) => one.id)],
    queryFn: async ({ signal }) => (await send<Compared>("POST", "/api/v1/ai-catalog/model-versions:compare", { body: { versions: shown.map((one) => one.id) }, signal })).body,
    enabled: shown.length > 1,
    retry: false,
  });
  if (versions.length < 2) return <Text c="dimmed">{t("There is only one version, so there is nothing to compare it with.")}</Text>;
  const numbers = compared.data?.metrics.filter((one) => one.values.some((value) => typeof value === "number")) ?? [];
  const drawn = numbers.find((one) => one.key === metric) ?? numbers.find((one) => numbers.some((other) => other.key === `baseline_${one.key}`)) ?? numbers[0];
  const baseline = numbers.find((one) => one.key === `baseline_${drawn?.key}`);
  const points = (values: ComparedValue["values"]) => shown.map((one, position) => [t("Version {version}", { version: one.version }), typeof values[position] === "number" ? values[position] : null]);
  return (
    <Stack gap="md">
      <MultiSelect
        label={t("Versions")}
        maw={560}
        data={versions.map((one) => ({ value: one.id, label: [t("Version {version}", { version: one.version }), ...aliasesOf(model, one.version)].join(", ") }))}
        value={chosen}
        maxValues={MAX}
        onChange={setChosen}
      />
      {shown.length < 2 && <Text size="sm" c="dimmed">{t("Choose at least two versions.")}</Text>}
      {compared.error && <Trouble error={compared.error} retry={() => compared.refetch()} />}
      {compared.data && shown.length > 1 && (
        <>
          {drawn && (
            <>
              <Select label={t("Metric")} maw={280} searchable allowDeselect={false} data={numbers.map((one) => one.key)} value={drawn.key} onChange={setMetric} />
              <Chart
                kind="line"
                label={t("{key} of each version", { key: drawn.key })}
                x={{ name: t("Version") }}
                y={{ name: drawn.key }}
                series={[{ name: drawn.key, points: points(drawn.values) }, ...(baseline ? [{ name: t("Baseline"), points: points(baseline.values) }] : [])]}
                height={260}
              />
            </>
          )}
          <SegmentedControl size="xs" aria-label={t("What to compare")} value={part} onChange={(value) => setPart(value as typeof part)} data={PARTS.map((value) => ({ value, label: LABELS[value] }))} style={{ alignSelf: "flex-start" }} />
          <ComparedTable label={LABELS[part]} heads={shown.map((one) => t("Version {version}", { version: one.version }))} rows={compared.data[part]} />
        </>
      )}
    </Stack>
  );
}

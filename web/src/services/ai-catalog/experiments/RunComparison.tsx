import { Button, Group, Select, Skeleton, Stack, Text, Title } from "@mantine/core";
import { useQueries, useQuery } from "@tanstack/react-query";
import { t } from "../../../language/text";
import { Chart } from "../../../ui/Chart";
import { Trouble } from "../../../ui/Trouble";
import { ComparedTable } from "../models/ComparedTable";
import { runs as runsOf } from "../models/models";
import { comparison, line, nameOf, sample } from "./experiments";

interface Props {
  ids: string[];
  metric: string | undefined;
  onMetric: (metric: string | undefined) => void;
  onClear: () => void;
}

/** Runs side by side: a metric over the steps of all, and what differs in their parameters, metrics, and inputs. */
export function RunComparison({ ids, metric, onMetric, onClear }: Props) {
  const compared = useQuery(comparison(ids));
  const known = useQuery(runsOf(ids));
  const keys = compared.data?.metrics.map((one) => one.key) ?? [];
  const key = metric && keys.includes(metric) ? metric : (keys[0] ?? "");
  const samples = useQueries({ queries: ids.map((id) => sample(id, key)) });
  const all = [...(known.data?.values() ?? [])];
  const heads = ids.map((id) => {
    const own = known.data?.get(id);
    return own ? nameOf(own, all) : id.slice(-6);
  });
  const failed = samples.find((one) => one.error);
  const series = ids.map((id, number) => ({ name: heads[number] ?? id, points: line(samples[number]?.data?.points ?? []) }));
  const hasSteps = series.some((one) => one.points.length > 1);
  return (
    <Stack gap="md" component="section" aria-label={t("Comparison")}>
      <Group justify="space-between">
        <Title order={2}>{t("Comparison of {count} runs", { count: ids.length })}</Title>
        <Button size="xs" variant="default" onClick={onClear}>{t("Close the comparison")}</Button>
      </Group>
      {(compared.error || failed?.error) && <Trouble error={compared.error ?? failed?.error} retry={() => compared.refetch()} />}
      {compared.isPending && <Skeleton height={200} />}
      {compared.data && (
        <>
          {key && (
            <>
              <Select label={t("Metric")} maw={280} searchable allowDeselect={false} data={keys} value={key} onChange={(chosen) => onMetric(chosen ?? undefined)} />
              <Chart
                kind={hasSteps ? "line" : "bar"}
                label={hasSteps ? t("{key} over the steps of each run", { key }) : t("{key} of each run", { key })}
                x={{ name: hasSteps ? t("Step") : t("Run") }}
                y={{ name: key }}
                series={hasSteps ? series : [{ name: key, points: series.map((one) => [one.name, one.points[0]?.[1] ?? null]) }]}
              />
            </>
          )}
          <section aria-label={t("Parameters")}><Title order={3} mb="xs">{t("Parameters")}</Title><ComparedTable label={t("Parameters")} heads={heads} rows={compared.data.params} /></section>
          <section aria-label={t("Metrics")}><Title order={3} mb="xs">{t("Metrics")}</Title><ComparedTable label={t("Metrics")} heads={heads} rows={compared.data.metrics} /></section>
          <section aria-label={t("Inputs")}>
            <Title order={3} mb="xs">{t("Inputs")}</Title>
            {compared.data.inputs.map((inputs, number) => (
              <Text size="sm" key={ids[number]} style={{ overflowWrap: "anywhere" }}>
                {heads[number]}: {inputs.length ? inputs.map((one) => `${one.asset ?? one.name}${one.version ? `@${one.version.split("@")[1]}` : ""}`).join(", ") : t("none that you can see")}
              </Text>
            ))}
          </section>
        </>
      )}
    </Stack>
  );
}

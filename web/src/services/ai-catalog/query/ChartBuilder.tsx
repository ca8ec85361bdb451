import type { ChartForm as Form, QueryChart as ChartChoice, QueryResult as Result } from "../../../api/generated/ai-catalog";
import { Group, MultiSelect, SegmentedControl, Select, Stack, Text } from "@mantine/core";
import { t } from "../../../language/text";
import { Chart } from "../../../ui/Chart";
import { drawn, fitting, FORMS, missing } from "./statement";

const LABELS: Record<Form, string> = { LINE: t("Line"), BAR: t("Bar"), SCATTER: t("Scatter"), HEAT_MAP: t("Heat map") };
/** More series have colors that people can't tell apart. */
const MOST_SERIES = 20;

interface Props {
  result: Result;
  choice: ChartChoice;
  onChange: (choice: ChartChoice) => void;
}

/** The chart of a result, with the choice of its form and its columns. */
export function ChartBuilder({ result, choice, onChange }: Props) {
  const columns = [...new Set(result.columns.map((column) => column.name))];
  const change = (changed: Partial<ChartChoice>) => onChange(fitting({ ...choice, ...changed }));
  const lacking = missing(choice, columns);
  const chart = lacking ? null : drawn(choice, result);
  const heat = choice.form === "HEAT_MAP";
  const single = heat || choice.series !== "";
  return (
    <Stack gap="sm">
      <Group gap="sm" align="flex-end">
        <SegmentedControl aria-label={t("Form of the chart")} size="xs" data={(Object.keys(FORMS) as Form[]).map((form) => ({ value: form, label: LABELS[form] }))} value={choice.form} onChange={(form) => change({ form: form as Form })} />
        <Select label="X" size="xs" w={180} data={columns} value={choice.x || null} onChange={(x) => change({ x: x ?? "" })} searchable />
        {single ? (
          <Select label="Y" size="xs" w={180} data={columns} value={choice.y[0] ?? null} onChange={(y) => change({ y: y ? [y] : [] })} searchable />
        ) : (
          <MultiSelect label="Y" size="xs" miw={180} maw={360} data={columns} value={choice.y} maxValues={MOST_SERIES} onChange={(y) => change({ y })} searchable />
        )}
        {heat ? (
          <Select label={t("Color")} size="xs" w={180} data={columns} value={choice.value || null} onChange={(value) => change({ value: value ?? "" })} searchable />
        ) : (
          <Select label={t("One series for each")} size="xs" w={180} placeholder={t("Column of Y")} clearable data={columns} value={choice.series || null} onChange={(series) => change({ series: series ?? "" })} searchable />
        )}
      </Group>
      {lacking && <Text size="sm" c="dimmed">{lacking}</Text>}
      {chart && chart.series.length > MOST_SERIES && <Text size="sm">{t("The chart shows the first {MOST_SERIES} of {count, number} series.", { MOST_SERIES, count: chart.series.length })}</Text>}
      {chart && <Chart {...chart} series={chart.series.slice(0, MOST_SERIES)} height={360} />}
    </Stack>
  );
}

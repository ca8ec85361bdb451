import { Button, Skeleton, Stack, Text } from "@mantine/core";
import { lazy, Suspense, useMemo, useState } from "react";
import { t } from "../language/text";
import { axisTitle, type Axis, type ChartKind, type Series } from "./chart/options";
import { Grid } from "./Grid";

export { type Axis, CHART_KINDS, type ChartKind, type Coordinate, type Series } from "./chart/options";

const Drawing = lazy(() => import("./chart/Drawing"));

interface Props {
  kind: ChartKind;
  /** What the chart shows, in a sentence. */
  label: string;
  x: Axis;
  y: Axis;
  /** What the colors of a heat map mean. */
  value?: Axis;
  series: Series[];
  height?: number;
}

/** A chart, and the same values as a table for those who prefer one. */
export function Chart({ kind, label, x, y, value, series, height = 320 }: Props) {
  const [asTable, setAsTable] = useState(false);
  // ECharts draws again when this object changes, and callers build its parts on each render.
  const description = JSON.stringify({ kind, x, y, value, series });
  const drawn = useMemo(() => JSON.parse(description), [description]);
  const table = useMemo(() => {
    const several = series.length > 1;
    return {
      columns: [...(several ? [t("Series")] : []), axisTitle(x), axisTitle(y), ...(value ? [axisTitle(value)] : [])].map((name) => ({ name })),
      rows: series.flatMap((one) => one.points.map((point) => (several ? [one.name, ...point] : point))),
    };
  }, [description]);
  if (!table.rows.length) return <Text c="dimmed" size="sm">{t("There are no values to draw.")}</Text>;
  return (
    <Stack gap={4} component="figure" m={0}>
      {asTable ? (
        <Grid label={label} columns={table.columns} rows={table.rows} maxHeight={height} />
      ) : (
        <Suspense fallback={<Skeleton height={height} />}><Drawing drawn={drawn} label={label} height={height} /></Suspense>
      )}
      <Button variant="subtle" size="compact-xs" style={{ alignSelf: "flex-end" }} onClick={() => setAsTable(!asTable)}>
        {asTable ? t("Show as chart") : t("Show as table")}
      </Button>
    </Stack>
  );
}

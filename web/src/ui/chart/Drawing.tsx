import { useComputedColorScheme } from "@mantine/core";
import { BarChart, HeatmapChart, LineChart, ScatterChart } from "echarts/charts";
import { DataZoomInsideComponent, GridComponent, LegendComponent, TooltipComponent, VisualMapContinuousComponent } from "echarts/components";
import { type ECharts, init, use } from "echarts/core";
import { CanvasRenderer } from "echarts/renderers";
import { useEffect, useRef } from "react";
import { type Drawn, options, type Palette } from "./options";

use([LineChart, BarChart, ScatterChart, HeatmapChart, GridComponent, TooltipComponent, LegendComponent, VisualMapContinuousComponent, DataZoomInsideComponent, CanvasRenderer]);

const HUES = ["teal", "blue", "orange", "grape", "red", "cyan", "lime", "pink"];

/** A chart on a canvas. Everything that imports ECharts is here, so that pages load it with their first chart. */
export default function Drawing({ drawn, label, height }: { drawn: Drawn; label: string; height: number }) {
  const box = useRef<HTMLDivElement>(null);
  const chart = useRef<ECharts | null>(null);
  const scheme = useComputedColorScheme("light");
  useEffect(() => {
    if (!box.current) return;
    const made = init(box.current);
    chart.current = made;
    const watch = new ResizeObserver(() => made.resize());
    watch.observe(box.current);
    return () => {
      watch.disconnect();
      made.dispose();
    };
  }, []);
  useEffect(() => {
    if (box.current) chart.current?.setOption(options(drawn, palette(box.current, scheme === "dark")), { notMerge: true });
  }, [drawn, scheme]);
  return <div ref={box} role="img" aria-label={label} style={{ height, width: "100%" }} />;
}

function palette(element: HTMLElement, dark: boolean): Palette {
  const style = getComputedStyle(element);
  const token = (name: string) => style.getPropertyValue(`--mantine-${name}`).trim();
  return {
    text: token("color-text"),
    dimmed: token("color-dimmed"),
    line: token("color-default-border"),
    background: token("color-body"),
    faint: token(dark ? "color-dark-5" : "color-gray-2"),
    series: HUES.map((hue) => token(`color-${hue}-${dark ? 4 : 8}`)),
  };
}

// Rows over time on Grafana's plot: what heat map and state timeline have in common. The cells are drawn by us.
import { dateTime, type GrafanaTheme2, type TimeRange } from '@grafana/data';
import { AxisPlacement, ScaleDirection, ScaleOrientation } from '@grafana/schema';
import { UPlotChart, UPlotConfigBuilder } from '@grafana/ui';
import { useMemo } from 'react';
import type uPlot from 'uplot';
import { TIME_ZONE } from './props';

export interface GridProps {
  rows: string[];
  // Where the names stand: in the middle of their row, or at its upper edge.
  edges: boolean;
  draw: (plot: uPlot) => void;
  timeRange: TimeRange;
  theme: GrafanaTheme2;
  width: number;
  height: number;
}

const NEEDED_HEIGHT = 18;

// Row 0 lies at the bottom, between 0 and 1 on the scale `y`.
export function Grid({ rows, edges, draw, timeRange, theme, width, height }: GridProps) {
  const config = useMemo(() => {
    const builder = new UPlotConfigBuilder(TIME_ZONE);
    builder.addScale({
      scaleKey: 'x',
      isTime: true,
      orientation: ScaleOrientation.Horizontal,
      direction: ScaleDirection.Right,
      range: () => [timeRange.from.valueOf(), timeRange.to.valueOf()],
    });
    builder.addScale({
      scaleKey: 'y',
      orientation: ScaleOrientation.Vertical,
      direction: ScaleDirection.Up,
      range: () => [0, rows.length],
    });
    builder.addAxis({ scaleKey: 'x', isTime: true, placement: AxisPlacement.Bottom, timeZone: TIME_ZONE, theme, grid: { show: false } });
    const every = Math.max(1, Math.ceil((rows.length * NEEDED_HEIGHT) / Math.max(1, height - 40)));
    const shown = rows.map((_, index) => index).filter((index) => (rows.length - 1 - index) % every === 0);
    builder.addAxis({
      scaleKey: 'y',
      placement: AxisPlacement.Left,
      theme,
      grid: { show: false },
      splits: shown.map((index) => index + (edges ? 1 : 0.5)),
      values: shown.map((index) => rows[index]!),
    });
    builder.addSeries({ scaleKey: 'y', theme, pathBuilder: () => null, pointsBuilder: () => undefined });
    builder.addHook('draw', draw);
    return builder;
  }, [rows, edges, draw, timeRange, theme, height]);
  const data: uPlot.AlignedData = [
    [timeRange.from.valueOf(), timeRange.to.valueOf()],
    [0, rows.length],
  ];
  return <UPlotChart config={config} data={data} width={width} height={height} />;
}

export function clipTime(range: TimeRange, from: number, to: number): [number, number] {
  return [Math.max(from, dateTime(range.from).valueOf()), Math.min(to, dateTime(range.to).valueOf())];
}

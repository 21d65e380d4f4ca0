// heatmap: drawn by us; colours are those of the scheme that the panel names.
import { FieldType, formattedValueToString, getValueFormat } from '@grafana/data';
import * as schemes from 'd3-scale-chromatic';
import { useCallback, useMemo } from 'react';
import type uPlot from 'uplot';
import { Grid } from './grid';
import type { PanelProps } from './props';

interface Cells {
  rows: string[];
  points: Array<{ row: number; from: number; to: number; value: number }>;
  min: number;
  max: number;
}

const LEGEND_HEIGHT = 34;

export function Heat(props: PanelProps) {
  const { panel, timeRange, theme, width, height } = props;
  const cells = useMemo(() => makeCells(props), [props.frames]);
  const color = scheme(panel.options.color, theme.isDark);
  const draw = useCallback((plot: uPlot) => drawCells(plot, cells, color, panel.options.cellGap ?? 1), [cells]);
  const legend = panel.options.legend?.show ? LEGEND_HEIGHT : 0;
  return (
    <div>
      <Grid rows={cells.rows} edges={true} {...{ draw, timeRange, theme, width }} height={height - legend} />
      {legend > 0 && <Legend cells={cells} color={color} />}
    </div>
  );
}

function makeCells({ panel, frames, answers }: PanelProps): Cells {
  const step = answers[0]?.stepMs ?? 0;
  const format = getValueFormat(panel.options.yAxis?.unit ?? 'short');
  const least = panel.options.filterValues?.le ?? -Infinity;
  const points = frames.flatMap((frame, row) => {
    const times = frame.fields.find((field) => field.type === FieldType.time)!.values;
    const values = frame.fields.find((field) => field.type === FieldType.number)!.values;
    return times.map((time: number, index: number) => ({ row, from: time - step, to: time, value: values[index] as number }));
  });
  const seen = points.filter((point) => point.value > least);
  return {
    rows: frames.map((frame) => nameRow(frame.fields[1]?.labels?.['le'] ?? '', format, panel.options.yAxis?.decimals)),
    points: seen,
    min: Math.min(...seen.map((point) => point.value)),
    max: Math.max(...seen.map((point) => point.value)),
  };
}

function nameRow(le: string, format: ReturnType<typeof getValueFormat>, decimals?: number): string {
  return le.endsWith('Inf') ? '+Inf' : formattedValueToString(format(Number(le), decimals));
}

type Color = (share: number) => string;

// Schemes that begin with the colour of paper are turned round on a dark background.
const FROM_WHITE = /^(Blues|Greens|Greys|Oranges|Purples|Reds|BuGn|BuPu|GnBu|OrRd|PuBuGn|PuBu|PuRd|RdPu|YlGnBu|YlGn|YlOrBr|YlOrRd)$/;

function scheme(options: { scheme?: string; steps?: number; reverse?: boolean }, dark: boolean): Color {
  const name = options.scheme ?? 'Oranges';
  const interpolate = (schemes as unknown as Record<string, Color | undefined>)[`interpolate${name}`];
  if (interpolate === undefined) {
    throw new Error(`no colour scheme ${name}`);
  }
  const steps = options.steps ?? 64;
  const turned = (dark && FROM_WHITE.test(name)) !== (options.reverse ?? false);
  return (share) => {
    const stepped = Math.min(steps - 1, Math.floor(share * steps)) / (steps - 1);
    return interpolate(turned ? 1 - stepped : stepped);
  };
}

function share(cells: Cells, value: number): number {
  return cells.max > cells.min ? (value - cells.min) / (cells.max - cells.min) : 1;
}

function drawCells(plot: uPlot, cells: Cells, color: Color, gap: number): void {
  const { ctx, bbox } = plot;
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  for (const { row, from, to, value } of cells.points) {
    const left = Math.round(plot.valToPos(from, 'x', true));
    const right = Math.round(plot.valToPos(to, 'x', true));
    const top = Math.round(plot.valToPos(row + 1, 'y', true));
    const bottom = Math.round(plot.valToPos(row, 'y', true));
    ctx.fillStyle = color(share(cells, value));
    ctx.fillRect(left, top, Math.max(1, right - left - gap), Math.max(1, bottom - top - gap));
  }
  ctx.restore();
}

function Legend({ cells, color }: { cells: Cells; color: Color }) {
  const format = getValueFormat('short');
  const text = (value: number) => (Number.isFinite(value) ? formattedValueToString(format(value)) : '');
  const stops = Array.from({ length: 33 }, (_, index) => color(index / 32)).join(', ');
  return (
    <div className="scale">
      <div className="scale-bar" style={{ background: `linear-gradient(90deg, ${stops})` }} />
      <div className="scale-ends">
        <span>{text(cells.min)}</span>
        <span>{text(cells.max)}</span>
      </div>
    </div>
  );
}

// state-timeline: drawn by us; texts and colours are those of the field's mappings and thresholds.
import { colorManipulator, type DataFrame, type Field, FieldType, formattedValueToString, getFieldDisplayName, type GrafanaTheme2 } from '@grafana/data';
import { VizLegend, type VizLegendItem } from '@grafana/ui';
import { useCallback, useMemo } from 'react';
import type uPlot from 'uplot';
import { clipTime, Grid } from './grid';
import type { PanelProps } from './props';

interface Span {
  row: number;
  from: number;
  to: number;
  text: string;
  color: string;
}

const LEGEND_HEIGHT = 28;

export function States(props: PanelProps) {
  const { panel, frames, timeRange, theme, width, height } = props;
  const spans = useMemo(() => frames.flatMap((frame, index) => makeSpans(props, frame, frames.length - 1 - index)), [frames]);
  const rows = useMemo(() => frames.map((frame) => getFieldDisplayName(valueField(frame), frame, frames)).reverse(), [frames]);
  const draw = useCallback((plot: uPlot) => drawSpans(plot, spans, panel.options, theme), [spans]);
  const legend = panel.options.legend?.showLegend ? LEGEND_HEIGHT : 0;
  return (
    <div>
      <Grid rows={rows} edges={false} {...{ draw, timeRange, theme, width }} height={height - legend} />
      {legend > 0 && <VizLegend items={makeLegend(spans)} placement="bottom" displayMode={panel.options.legend.displayMode} />}
    </div>
  );
}

function valueField(frame: DataFrame): Field {
  return frame.fields.find((field) => field.type !== FieldType.time)!;
}

// Neighbouring points of one state become one span, which lasts until the next point.
function makeSpans({ answers, timeRange }: PanelProps, frame: DataFrame, row: number): Span[] {
  const times: number[] = frame.fields.find((field) => field.type === FieldType.time)!.values;
  const field = valueField(frame);
  const step = answers[0]?.stepMs ?? 0;
  const spans: Span[] = [];
  times.forEach((time, index) => {
    const display = field.display!(field.values[index]);
    const [from, to] = clipTime(timeRange, time, time + step);
    const text = formattedValueToString(display);
    const last = spans.at(-1);
    if (last && last.text === text && last.to >= from) {
      last.to = to;
    } else {
      spans.push({ row, from, to, text, color: display.color ?? 'gray' });
    }
  });
  return spans;
}

function makeLegend(spans: Span[]): VizLegendItem[] {
  const colors = new Map(spans.map((span) => [span.text, span.color]));
  return [...colors].map(([label, color]) => ({ label, color, yAxis: 1 }));
}

function drawSpans(plot: uPlot, spans: Span[], options: { rowHeight?: number; showValue?: string; alignValue?: string }, theme: GrafanaTheme2): void {
  const { ctx } = plot;
  const margin = (1 - (options.rowHeight ?? 0.9)) / 2;
  ctx.save();
  ctx.font = `12px ${theme.typography.fontFamily}`;
  ctx.textBaseline = 'middle';
  ctx.textAlign = 'left';
  for (const { row, from, to, text, color } of spans) {
    const left = plot.valToPos(from, 'x', true);
    const right = plot.valToPos(to, 'x', true);
    const top = plot.valToPos(row + 1 - margin, 'y', true);
    const bottom = plot.valToPos(row + margin, 'y', true);
    ctx.fillStyle = colorManipulator.alpha(color, 0.7);
    ctx.fillRect(left, top, right - left, bottom - top);
    if (options.showValue !== 'never' && ctx.measureText(text).width + 8 < right - left) {
      ctx.fillStyle = theme.colors.getContrastText(color, 3);
      ctx.fillText(text, left + 4, (top + bottom) / 2);
    }
  }
  ctx.restore();
}

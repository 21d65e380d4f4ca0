// Annotations and exemplars over a plot: drawn by us, in the manner of Grafana.
import type { GrafanaTheme2 } from '@grafana/data';
import type { UPlotConfigBuilder } from '@grafana/ui';
import type uPlot from 'uplot';
import type { Annotation, Exemplar } from '../scene';

const HALF_DIAMOND = 4;

export function addMarks(
  config: UPlotConfigBuilder,
  annotations: Annotation[],
  exemplars: Exemplar[],
  theme: GrafanaTheme2
): void {
  config.addHook('draw', (plot) => {
    const { ctx, bbox } = plot;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    annotations.forEach((annotation) => drawAnnotation(plot, annotation, theme));
    exemplars.forEach((exemplar) => drawExemplar(plot, exemplar, theme));
    ctx.restore();
  });
}

function drawAnnotation(plot: uPlot, { from, to, color }: Annotation, theme: GrafanaTheme2): void {
  const { ctx, bbox } = plot;
  const named = theme.visualization.getColorByName(color);
  const left = plot.valToPos(from, 'x', true);
  const right = plot.valToPos(to, 'x', true);
  ctx.strokeStyle = named;
  ctx.fillStyle = named;
  ctx.lineWidth = 1;
  ctx.setLineDash([5, 5]);
  for (const x of left === right ? [left] : [left, right]) {
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
  }
  ctx.globalAlpha = 0.1;
  ctx.fillRect(left, bbox.top, right - left, bbox.height);
  ctx.globalAlpha = 1;
  ctx.fillRect(left, bbox.top + bbox.height - 3, Math.max(3, right - left), 3);
}

function drawExemplar(plot: uPlot, { time, value }: Exemplar, theme: GrafanaTheme2): void {
  const { ctx, bbox } = plot;
  const scale = plot.series[1]?.scale;
  if (scale === undefined) {
    return;
  }
  const x = plot.valToPos(time, 'x', true);
  const y = Math.min(Math.max(plot.valToPos(value, scale, true), bbox.top), bbox.top + bbox.height);
  ctx.fillStyle = theme.visualization.getColorByName('dark-yellow');
  ctx.strokeStyle = theme.colors.background.primary;
  ctx.setLineDash([]);
  ctx.beginPath();
  ctx.moveTo(x, y - HALF_DIAMOND);
  ctx.lineTo(x + HALF_DIAMOND, y);
  ctx.lineTo(x, y + HALF_DIAMOND);
  ctx.lineTo(x - HALF_DIAMOND, y);
  ctx.closePath();
  ctx.fill();
  ctx.stroke();
}

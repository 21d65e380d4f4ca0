// Prometheus' answers as data frames, one shape for each format of a query.
import { type DataFrame, type Field, FieldType, renderLegendFormat } from '@grafana/data';
import type { Answer, Series } from './scene';

export function makeFrames(answers: Answer[]): DataFrame[] {
  const tables = answers.filter((answer) => answer.format === 'table').length;
  return answers.flatMap((answer) => {
    switch (answer.format) {
      case 'table':
        return [makeTable(answer, tables > 1 ? `Value #${answer.ref}` : 'Value')];
      case 'heatmap':
        return makeBuckets(answer);
      default:
        return answer.series.map((series) => makeSeries(answer, series));
    }
  });
}

function makeSeries(answer: Answer, series: Series): DataFrame {
  const values: Field = {
    name: 'Value',
    type: FieldType.number,
    config: { displayNameFromDS: nameSeries(answer, series.labels) },
    labels: series.labels,
    values: series.points.map(([, value]) => value),
  };
  return {
    refId: answer.ref,
    length: series.points.length,
    fields: [makeTimes(series.points.map(([time]) => time), answer.instant ? undefined : answer.stepMs), values],
  };
}

function makeTimes(times: number[], interval?: number): Field {
  return { name: 'Time', type: FieldType.time, config: { interval }, values: times };
}

function nameSeries(answer: Answer, labels: Record<string, string>): string | undefined {
  if (answer.legend === '' || answer.legend === '__auto') {
    // With labels, Grafana makes a name of those in which the series of the panel differ.
    return Object.keys(labels).length === 0 ? answer.expression : undefined;
  }
  return renderLegendFormat(answer.legend, labels) || formatLabels(labels) || answer.expression;
}

function formatLabels(labels: Record<string, string>): string {
  const pairs = Object.entries(labels).filter(([name]) => name !== '__name__');
  return pairs.length === 0 ? '' : `{${pairs.map(([name, value]) => `${name}="${value}"`).join(', ')}}`;
}

// One row for each series: its time, its labels in alphabetical order, its newest value.
function makeTable(answer: Answer, valueName: string): DataFrame {
  const rows = answer.series.flatMap((series) => series.points.map((point) => ({ labels: series.labels, point })));
  const names = [...new Set(answer.series.flatMap((series) => Object.keys(series.labels)))].sort();
  const columns = names.map((name): Field => ({
    name,
    type: FieldType.string,
    config: { filterable: true },
    values: rows.map(({ labels }) => labels[name] ?? ''),
  }));
  const values: Field = { name: valueName, type: FieldType.number, config: {}, values: rows.map(({ point }) => point[1]) };
  return {
    refId: answer.ref,
    length: rows.length,
    fields: [makeTimes(rows.map(({ point }) => point[0])), ...columns, values],
  };
}

// Cumulative buckets become counts per bucket: one frame for each upper bound, in ascending order.
function makeBuckets(answer: Answer): DataFrame[] {
  const sorted = [...answer.series].sort((a, b) => bound(a) - bound(b));
  return sorted.map((series, index) => {
    const below = new Map(index === 0 ? [] : sorted[index - 1]!.points);
    const points = series.points.map(([time, value]): [number, number] => [
      time,
      Math.max(0, (value ?? 0) - (below.get(time) ?? 0)),
    ]);
    return makeSeries(answer, { labels: series.labels, points });
  });
}

export function bound(series: { labels?: Record<string, string> }): number {
  const text = series.labels?.['le'] ?? '';
  return text.endsWith('Inf') ? Infinity : Number(text);
}

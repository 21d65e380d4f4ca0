// timeseries: Grafana's TimeSeries, with annotations and exemplars on top.
import type { DataFrame } from '@grafana/data';
import { TimeSeries, type UPlotConfigBuilder } from '@grafana/ui';
import { addMarks } from './marks';
import { type PanelProps, TIME_ZONE } from './props';

export function Courses({ panel, frames, answers, annotations, timeRange, theme, width, height }: PanelProps) {
  const exemplars = answers.flatMap((answer) => answer.exemplars);
  const marked = new WeakSet<UPlotConfigBuilder>();
  const mark = (config: UPlotConfigBuilder, _: DataFrame) => {
    if (!marked.has(config)) {
      marked.add(config);
      addMarks(config, annotations, exemplars, theme);
    }
    return null;
  };
  return (
    <TimeSeries
      frames={frames}
      structureRev={1}
      timeRange={timeRange}
      timeZone={TIME_ZONE}
      width={width}
      height={height}
      legend={panel.options.legend}
      options={panel.options}
    >
      {mark}
    </TimeSeries>
  );
}

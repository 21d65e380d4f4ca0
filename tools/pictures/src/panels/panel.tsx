// One panel: its frame, and what its type draws inside.
import type { DataFrame } from '@grafana/data';
import { renderTextPanelMarkdown } from '@grafana/data';
import { PanelChrome } from '@grafana/ui';
import type { ComponentType } from 'react';
import { Cells } from './cells';
import { Courses } from './courses';
import { Heat } from './heat';
import { Pie } from './pie';
import type { PanelProps } from './props';
import { States } from './states';
import { Bars, Stat } from './values';

const TYPES: Record<string, ComponentType<PanelProps>> = {
  stat: Stat,
  bargauge: Bars,
  timeseries: Courses,
  table: Cells,
  heatmap: Heat,
  piechart: Pie,
  'state-timeline': States,
  text: Words,
};

export function Panel(props: PanelProps) {
  const { panel, width, height } = props;
  const Type = TYPES[panel.type];
  if (Type === undefined) {
    throw new Error(`no drawing for panels of the type ${panel.type}: ${panel.title}`);
  }
  return (
    <PanelChrome
      title={panel.title}
      description={panel.description}
      width={width}
      height={height}
      displayMode={panel.transparent ? 'transparent' : 'default'}
    >
      {(innerWidth, innerHeight) =>
        panel.type === 'text' || hasRows(props.frames) ? (
          <Type {...props} width={innerWidth} height={innerHeight} />
        ) : (
          <div className="nothing">{panel.fieldConfig?.defaults.noValue ?? 'No data'}</div>
        )
      }
    </PanelChrome>
  );
}

function hasRows(frames: DataFrame[]): boolean {
  return frames.some((frame) => frame.length > 0);
}

function Words({ panel }: PanelProps) {
  const made = panel.options.mode === 'html' ? panel.options.content : renderTextPanelMarkdown(panel.options.content);
  return <div className="markdown-html" dangerouslySetInnerHTML={{ __html: made }} />;
}

// What every panel is drawn from.
import type { DataFrame, GrafanaTheme2, TimeRange } from '@grafana/data';
import type { Answer, Annotation, PanelModel } from '../scene';

export interface PanelProps {
  panel: PanelModel;
  frames: DataFrame[];
  answers: Answer[];
  annotations: Annotation[];
  timeRange: TimeRange;
  theme: GrafanaTheme2;
  width: number;
  height: number;
}

export const TIME_ZONE = 'utc';

// What the driver hands over (data.json): a dashboard, and what Prometheus answered to the queries of its panels.
import type { DataTransformerConfig, FieldConfigSource } from '@grafana/data';

export interface GridPosition {
  x: number;
  y: number;
  w: number;
  h: number;
}

export interface PanelModel {
  id: number;
  type: string;
  title: string;
  description?: string;
  transparent?: boolean;
  gridPos: GridPosition;
  fieldConfig?: FieldConfigSource;
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- each panel type has options of its own
  options: any;
  transformations?: DataTransformerConfig[];
}

// Points: Unix milliseconds and value; null stands for NaN.
export interface Series {
  labels: Record<string, string>;
  points: Array<[number, number | null]>;
}

export interface Exemplar {
  time: number;
  value: number;
}

export interface Answer {
  ref: string;
  expression: string;
  legend: string;
  format: string;
  instant: boolean;
  stepMs: number;
  series: Series[];
  exemplars: Exemplar[];
}

export interface Annotation {
  name: string;
  color: string;
  from: number;
  to: number;
}

export interface Scene {
  title: string;
  links: string[];
  variables: Array<{ label: string; text: string }>;
  toggles: string[];
  from: number;
  to: number;
  panels: PanelModel[];
  answers: Record<string, Answer[]>;
  annotations: Annotation[];
}

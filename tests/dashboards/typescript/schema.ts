// What our dashboards are allowed to be: Grafana's types (@grafana/schema), made strict where they stop: each panel type
// has its own options, `Record<string, unknown>` and `unknown` are replaced by what we use, enumerations are written as
// their values. tests/dashboards/schema.py writes each dashboard as a literal that must satisfy `Dashboard`.

import type * as grafana from '@grafana/schema';
import type * as bargauge from '@grafana/schema/dist/esm/raw/composable/bargauge/panelcfg/x/BarGaugePanelCfg_types.gen';
import type * as heatmap from '@grafana/schema/dist/esm/raw/composable/heatmap/panelcfg/x/HeatmapPanelCfg_types.gen';
import type * as piechart from '@grafana/schema/dist/esm/raw/composable/piechart/panelcfg/x/PieChartPanelCfg_types.gen';
import type * as stat from '@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen';
import type * as timeline from '@grafana/schema/dist/esm/raw/composable/statetimeline/panelcfg/x/StateTimelinePanelCfg_types.gen';
import type * as table from '@grafana/schema/dist/esm/raw/composable/table/panelcfg/x/TablePanelCfg_types.gen';
import type * as timeseries from '@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen';

/** The same type as JSON has it: of an enumeration, the values. */
type Json<T> = T extends string
  ? `${T}`
  : T extends number | boolean | null | undefined
    ? T
    : T extends readonly (infer Item)[]
      ? Json<Item>[]
      : T extends object
        ? { [Key in keyof T]: Json<T[Key]> }
        : T;

/** Options and `fieldConfig.defaults.custom` by panel type. */
interface PanelTypes {
  stat: { options: stat.Options; custom: undefined };
  timeseries: { options: timeseries.Options; custom: timeseries.FieldConfig };
  heatmap: { options: heatmap.Options; custom: heatmap.FieldConfig };
  table: { options: table.Options; custom: table.FieldConfig };
  bargauge: { options: bargauge.Options; custom: undefined };
  piechart: { options: piechart.Options; custom: piechart.FieldConfig };
  'state-timeline': { options: timeline.Options; custom: timeline.FieldConfig };
}

type Datasource = { type: 'prometheus'; uid: '${datasource}' } | { type: 'grafana'; uid: '-- Grafana --' };

/** What reduces a series to a number; @grafana/schema says `string`. */
type Reducer =
  | 'sum' | 'max' | 'min' | 'mean' | 'median' | 'first' | 'firstNotNull' | 'last' | 'lastNotNull'
  | 'count' | 'range' | 'diff' | 'delta' | 'stdDev' | 'variance';

type Reduced<T> = T extends { reduceOptions: infer Reduce }
  ? Omit<T, 'reduceOptions'> & { reduceOptions: Omit<Reduce, 'calcs'> & { calcs: Reducer[] } }
  : T;
type Counted<T> = T extends { legend: infer Legend extends { calcs: unknown } }
  ? Omit<T, 'legend'> & { legend: Omit<Legend, 'calcs'> & { calcs: Reducer[] } }
  : T;

/** A query of the Prometheus data source; its types are not in @grafana/schema. */
interface Target extends Omit<grafana.DataQuery, 'datasource'> {
  datasource: Datasource;
  editorMode: 'builder' | 'code';
  exemplar: boolean;
  expr: string;
  format: 'time_series' | 'table' | 'heatmap';
  instant: boolean;
  interval?: string;
  legendFormat: string;
  range: boolean;
}

interface Link {
  oneClick?: boolean;
  targetBlank: boolean;
  title: string;
  url: string;
}

type Transformation =
  | { id: 'merge'; options: Record<string, never> }
  | { id: 'sortBy'; options: { fields: Record<string, never>; sort: Array<{ field: string; desc: boolean }> } }
  | {
      id: 'organize';
      options: {
        excludeByName: Record<string, boolean>;
        includeByName?: Record<string, boolean>;
        indexByName: Record<string, number>;
        renameByName: Record<string, string>;
      };
    }
  | {
      id: 'groupingToMatrix';
      options: {
        columnField: string;
        emptyValue: 'true' | 'false' | 'null' | 'empty' | 'zero';
        rowField: string;
        valueField: string;
      };
    };

type Defaults<Custom> = Omit<grafana.FieldConfig, 'custom' | 'links' | 'noValue' | 'unit'> &
  Required<Pick<grafana.FieldConfig, 'noValue' | 'unit'>> & { links?: Link[] } & (Custom extends undefined
    ? unknown
    : { custom: Custom });

/** Any property of a field that can be overridden, `custom.` ones included. */
type Property<Custom> =
  | Entry<Required<Omit<grafana.FieldConfig, 'custom' | 'links'>> & { links: Link[] }, ''>
  | Entry<Required<Custom>, 'custom.'>;
type Entry<Fields, Prefix extends string> = {
  [Key in keyof Fields & string]: { id: `${Prefix}${Key}`; value: Fields[Key] };
}[keyof Fields & string];

interface Override<Custom> {
  matcher: { id: 'byName' | 'byRegexp' | 'byType' | 'byFrameRefID'; options: string };
  properties: Property<Custom>[];
}

type PanelOf<Type extends keyof PanelTypes> = Omit<
  grafana.Panel,
  | 'datasource' | 'description' | 'fieldConfig' | 'gridPos' | 'id' | 'links' | 'options' | 'targets' | 'title'
  | 'transformations' | 'type'
> & {
  datasource: Datasource;
  description: string;
  fieldConfig: {
    defaults: Defaults<PanelTypes[Type]['custom']>;
    overrides: Override<PanelTypes[Type]['custom']>[];
  };
  gridPos: grafana.GridPos;
  id: number;
  links?: grafana.DashboardLink[];
  options: Counted<Reduced<PanelTypes[Type]['options']>>;
  targets: Target[];
  title: string;
  transformations: Transformation[];
  type: Type;
};
type Panel = { [Type in keyof PanelTypes]: PanelOf<Type> }[keyof PanelTypes];

interface Row extends Omit<grafana.RowPanel, 'panels' | 'title' | 'gridPos'> {
  gridPos: grafana.GridPos;
  panels: Panel[];
  title: string;
}

type Shared = 'datasource' | 'query' | 'type' | 'current' | 'options' | 'label' | 'hide';
interface VariableBase extends Omit<grafana.VariableModel, Shared> {
  hide: grafana.VariableHide;
  label: string;
}
interface DatasourceVariable extends VariableBase {
  current: Record<string, never>;
  options: never[];
  query: 'prometheus';
  type: 'datasource';
}
interface QueryVariable extends VariableBase {
  current: grafana.VariableOption;
  datasource: Datasource;
  definition: string;
  options: grafana.VariableOption[];
  query: { qryType: number; query: string; refId: string };
  type: 'query';
}
interface CustomVariable extends VariableBase {
  current: grafana.VariableOption;
  options: grafana.VariableOption[];
  query: string;
  type: 'custom';
}

interface BuiltInAnnotation extends Omit<grafana.AnnotationQuery, 'datasource' | 'target' | 'type'> {
  builtIn: 1;
  datasource: { type: 'grafana'; uid: '-- Grafana --' };
  type: 'dashboard';
}
/** As the Prometheus data source reads it: the expression stands beside the common fields. */
interface PrometheusAnnotation extends Omit<grafana.AnnotationQuery, 'builtIn' | 'datasource' | 'target' | 'type'> {
  datasource: { type: 'prometheus'; uid: '${datasource}' };
  expr: string;
  step: string;
  tagKeys: string;
  textFormat: string;
  titleFormat: string;
  useValueForTime: boolean;
}

export type Dashboard = Json<
  Omit<grafana.Dashboard, 'annotations' | 'panels' | 'templating'> & {
    annotations: { list: (BuiltInAnnotation | PrometheusAnnotation)[] };
    panels: (Panel | Row)[];
    templating: { list: (DatasourceVariable | QueryVariable | CustomVariable)[] };
  }
>;

// Grafana's field configuration outside of Grafana: which properties there are, and the transformations.
import {
  applyFieldOverrides,
  cacheFieldDisplayNames,
  type DataFrame,
  displayNameOverrideProcessor,
  type Field,
  FieldConfigOptionsRegistry,
  type FieldConfigPropertyItem,
  type FieldConfigSource,
  FieldType,
  type GrafanaTheme2,
  identityOverrideProcessor,
  standardTransformers,
  standardTransformersRegistry,
  thresholdsOverrideProcessor,
  transformDataFrame,
} from '@grafana/data';
import type { PanelModel } from './scene';

const EVERYWHERE = ['unit', 'displayName', 'noValue', 'mappings', 'links', 'filterable'];
const NUMBERS = ['min', 'max', 'decimals', 'thresholds', 'color', 'fieldMinMax'];

export const unchanged = (text: string): string => text;

export function registerTransformers(): void {
  standardTransformersRegistry.setInit(() =>
    [...new Set(Object.values(standardTransformers))].map((info) => ({
      id: info.id,
      name: info.name,
      transformation: async () => info,
      editor: () => null,
      imageDark: '',
      imageLight: '',
    }))
  );
}

export function transform(panel: PanelModel, frames: DataFrame[]): Promise<DataFrame[]> {
  const context = { interpolate: unchanged };
  return new Promise((resolve, reject) => {
    transformDataFrame(panel.transformations ?? [], frames, context).subscribe({ next: resolve, error: reject });
  });
}

export function configure(panel: PanelModel, frames: DataFrame[], theme: GrafanaTheme2): DataFrame[] {
  const fieldConfig = panel.fieldConfig ?? { defaults: {}, overrides: [] };
  const configured = applyFieldOverrides({
    data: frames,
    fieldConfig,
    fieldConfigRegistry: new FieldConfigOptionsRegistry(() => properties(fieldConfig)),
    replaceVariables: unchanged,
    theme,
    timeZone: 'utc',
  });
  cacheFieldDisplayNames(configured);
  return configured;
}

function properties(source: FieldConfigSource): FieldConfigPropertyItem[] {
  const custom = new Set(Object.keys(source.defaults.custom ?? {}));
  for (const { id } of source.overrides.flatMap((rule) => rule.properties)) {
    if (id.startsWith('custom.')) {
      custom.add(id.slice('custom.'.length));
    }
  }
  return [
    ...EVERYWHERE.map((id) => property(id, () => true)),
    ...NUMBERS.map((id) => property(id, (field) => field.type === FieldType.number)),
    ...[...custom].map((path) => ({ ...property(`custom.${path}`, isNoTime), path, isCustom: true })),
  ];
}

const isNoTime = (field: Field): boolean => field.type !== FieldType.time;

const PROCESSORS: Record<string, FieldConfigPropertyItem['process']> = {
  displayName: displayNameOverrideProcessor,
  thresholds: thresholdsOverrideProcessor,
};

function property(id: string, shouldApply: (field: Field) => boolean): FieldConfigPropertyItem {
  return {
    id,
    path: id,
    name: id,
    editor: () => null,
    override: () => null,
    process: PROCESSORS[id] ?? identityOverrideProcessor,
    shouldApply,
  };
}

// stat and bargauge: values reduced from series, drawn by Grafana's BigValue and BarGauge.
import {
  type DisplayValueAlignmentFactors,
  type FieldDisplay,
  FieldType,
  getDisplayProcessor,
  getDisplayValueAlignmentFactors,
  getFieldDisplayValues,
  VizOrientation,
} from '@grafana/data';
import { BarGauge, BigValue, BigValueGraphMode, VizRepeater, type VizRepeaterRenderValueProps } from '@grafana/ui';
import { unchanged } from '../fields';
import { type PanelProps, TIME_ZONE } from './props';

type Rendered = VizRepeaterRenderValueProps<FieldDisplay, DisplayValueAlignmentFactors>;

export function fieldDisplays({ panel, frames, theme }: PanelProps, sparkline = false): FieldDisplay[] {
  const fieldConfig = panel.fieldConfig ?? { defaults: {}, overrides: [] };
  return getFieldDisplayValues({
    fieldConfig,
    reduceOptions: panel.options.reduceOptions,
    replaceVariables: unchanged,
    theme,
    data: frames,
    sparkline,
    timeZone: TIME_ZONE,
  });
}

function align(values: FieldDisplay[]): DisplayValueAlignmentFactors {
  return getDisplayValueAlignmentFactors(values);
}

export function Stat(props: PanelProps) {
  const { panel, width, height, theme, timeRange } = props;
  const options = panel.options;
  const render = ({ value, alignmentFactors, width, height, count }: Rendered) => {
    const sparkline = value.sparkline ? { ...value.sparkline, timeRange } : undefined;
    return (
      <BigValue
        value={value.display}
        count={count}
        sparkline={sparkline}
        colorMode={options.colorMode}
        graphMode={options.graphMode}
        justifyMode={options.justifyMode}
        textMode={options.textMode}
        alignmentFactors={alignmentFactors}
        text={options.text}
        width={width}
        height={height}
        theme={theme}
        disableWideLayout={!options.wideLayout}
        percentChangeColorMode={options.percentChangeColorMode}
      />
    );
  };
  return (
    <VizRepeater
      getValues={() => fieldDisplays(props, options.graphMode !== BigValueGraphMode.None)}
      getAlignmentFactors={align}
      renderValue={render}
      width={width}
      height={height}
      source={props.frames}
      itemSpacing={3}
      renderCounter={0}
      autoGrid={true}
      orientation={options.orientation ?? VizOrientation.Auto}
    />
  );
}

export function Bars(props: PanelProps) {
  const { panel, width, height, theme } = props;
  const options = panel.options;
  const render = ({ value, alignmentFactors, orientation, width, height, count }: Rendered) => {
    const { field, display, view, colIndex } = value;
    const processor = view && colIndex !== undefined ? view.getFieldDisplayProcessor(colIndex) : undefined;
    return (
      <BarGauge
        value={count === 1 ? { ...display, title: field.displayName ?? display.title } : display}
        width={width}
        height={height}
        orientation={orientation}
        field={field}
        text={options.text}
        display={processor ?? getDisplayProcessor({ field: { type: FieldType.number, config: field }, theme })}
        theme={theme}
        itemSpacing={options.displayMode === 'lcd' ? 2 : 10}
        displayMode={options.displayMode}
        alignmentFactors={alignmentFactors}
        showUnfilled={options.showUnfilled}
        valueDisplayMode={options.valueMode}
        namePlacement={options.namePlacement}
      />
    );
  };
  return (
    <VizRepeater
      getValues={() => fieldDisplays(props)}
      getAlignmentFactors={align}
      renderValue={render}
      width={width}
      height={height}
      source={props.frames}
      itemSpacing={options.displayMode === 'lcd' ? 2 : 10}
      renderCounter={0}
      minVizWidth={options.minVizWidth}
      minVizHeight={options.minVizHeight}
      maxVizHeight={options.maxVizHeight}
      orientation={options.orientation ?? VizOrientation.Auto}
    />
  );
}

// piechart: drawn by us, with Grafana's legend.
import { type DisplayValue, formattedValueToString } from '@grafana/data';
import { VizLayout, VizLegend, type VizLegendItem } from '@grafana/ui';
import type { PanelProps } from './props';
import { fieldDisplays } from './values';

interface Slice {
  name: string;
  value: number;
  share: number;
  display: DisplayValue;
}

export function Pie(props: PanelProps) {
  const { panel, width, height } = props;
  const slices = makeSlices(props);
  const { legend } = panel.options;
  const drawn = legend.showLegend ? (
    <VizLayout.Legend placement={legend.placement}>
      <VizLegend
        items={slices.map((slice) => makeItem(slice, legend.values ?? []))}
        placement={legend.placement}
        displayMode={legend.displayMode}
      />
    </VizLayout.Legend>
  ) : null;
  return (
    <VizLayout width={width} height={height} legend={drawn}>
      {(width: number, height: number) => <Ring slices={slices} width={width} height={height} donut={panel.options.pieType === 'donut'} />}
    </VizLayout>
  );
}

// In descending order, as Grafana does unless told otherwise.
function makeSlices(props: PanelProps): Slice[] {
  const displays = fieldDisplays(props).map(({ display }) => display);
  const numbers = displays.filter((display) => Number.isFinite(display.numeric));
  const total = numbers.reduce((sum, display) => sum + display.numeric, 0);
  return numbers
    .map((display) => ({
      name: display.title ?? '',
      value: display.numeric,
      share: total > 0 ? display.numeric / total : 0,
      display,
    }))
    .sort((a, b) => b.value - a.value);
}

function makeItem({ name, share, display }: Slice, shown: string[]): VizLegendItem {
  const values: DisplayValue[] = [];
  if (shown.includes('value')) {
    values.push({ ...display, title: 'Value' });
  }
  if (shown.includes('percent')) {
    values.push({ numeric: share * 100, text: (share * 100).toFixed(0), suffix: '%', title: 'Percent' });
  }
  return { label: name, color: display.color ?? 'gray', yAxis: 1, getDisplayValues: () => values };
}

function Ring({ slices, width, height, donut }: { slices: Slice[]; width: number; height: number; donut: boolean }) {
  const radius = Math.max(0, Math.min(width, height) / 2 - 8);
  const thickness = donut ? radius * 0.35 : radius;
  const middle = radius - thickness / 2;
  const around = 2 * Math.PI * middle;
  let turned = 0;
  return (
    <svg width={width} height={height}>
      <g transform={`translate(${width / 2} ${height / 2}) rotate(-90)`} fill="none" strokeWidth={thickness}>
        {slices.map(({ name, share, display }) => {
          const before = turned;
          turned += share;
          return (
            <circle
              key={name}
              r={middle}
              stroke={display.color}
              strokeDasharray={`${Math.max(0, share * around - 1)} ${around}`}
              strokeDashoffset={-before * around}
            >
              <title>{`${name} ${formattedValueToString(display)}`}</title>
            </circle>
          );
        })}
      </g>
    </svg>
  );
}

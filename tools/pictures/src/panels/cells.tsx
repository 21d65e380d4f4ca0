// table: Grafana's TableNG.
import { TableNG } from '@grafana/ui/unstable';
import type { PanelProps } from './props';

export function Cells({ panel, frames, timeRange, width, height }: PanelProps) {
  const frame = frames[0];
  if (frame === undefined) {
    return null;
  }
  return (
    <TableNG
      data={frame}
      width={width}
      height={height}
      noHeader={!panel.options.showHeader}
      sortBy={panel.options.sortBy}
      cellHeight={panel.options.cellHeight}
      fieldConfig={panel.fieldConfig}
      frozenColumns={panel.options.frozenColumns?.left}
      timeRange={timeRange}
      structureRev={1}
      enableVirtualization={false}
    />
  );
}

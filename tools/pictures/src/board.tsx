// A whole dashboard: head, variables, rows, and panels at their places on Grafana's grid.
import { type DataFrame, dateTime, type GrafanaTheme2, type TimeRange } from '@grafana/data';
import { Icon } from '@grafana/ui';
import { Panel } from './panels/panel';
import type { GridPosition, PanelModel, Scene } from './scene';

const COLUMNS = 24;
const LINE = 30;
const GAP = 8;
const PADDING = 16;

export interface BoardProps {
  scene: Scene;
  frames: Map<number, DataFrame[]>;
  theme: GrafanaTheme2;
  width: number;
}

export function Board({ scene, frames, theme, width }: BoardProps) {
  const inner = width - 2 * PADDING;
  const timeRange: TimeRange = {
    from: dateTime(scene.from),
    to: dateTime(scene.to),
    raw: { from: 'now-1h', to: 'now' },
  };
  const lines = Math.max(...scene.panels.map(({ gridPos }) => gridPos.y + gridPos.h));
  return (
    <div className="board" style={{ width, padding: PADDING }}>
      <Head scene={scene} />
      <div style={{ position: 'relative', height: lines * (LINE + GAP) }}>
        {scene.panels.map((panel) => {
          const place = locate(panel.gridPos, inner);
          const answers = scene.answers[panel.id] ?? [];
          return (
            <div key={panel.id} style={{ position: 'absolute', ...place }}>
              {panel.type === 'row' ? (
                <RowHead panel={panel} />
              ) : (
                <Panel
                  panel={panel}
                  frames={frames.get(panel.id) ?? []}
                  answers={answers}
                  annotations={scene.annotations}
                  timeRange={timeRange}
                  theme={theme}
                  width={place.width}
                  height={place.height}
                />
              )}
            </div>
          );
        })}
      </div>
    </div>
  );
}

function locate({ x, y, w, h }: GridPosition, width: number) {
  const column = (width - GAP * (COLUMNS - 1)) / COLUMNS;
  return {
    left: x * (column + GAP),
    top: y * (LINE + GAP),
    width: w * column + (w - 1) * GAP,
    height: h * LINE + (h - 1) * GAP,
  };
}

function Head({ scene }: { scene: Scene }) {
  return (
    <header>
      <div className="title">
        <h1>{scene.title}</h1>
        <div className="links">
          {scene.links.map((link) => (
            <span key={link} className="link">
              <Icon name="apps" size="sm" /> {link}
            </span>
          ))}
        </div>
        <span className="link">
          <Icon name="clock-nine" size="sm" /> {describeRange(scene)}
        </span>
      </div>
      <div className="variables">
        {scene.variables.map(({ label, text }) => (
          <span key={label} className="variable">
            <label>{label}</label>
            <b>
              {text} <Icon name="angle-down" size="sm" />
            </b>
          </span>
        ))}
        {scene.toggles.map((name) => (
          <span key={name} className="variable">
            <label>{name}</label>
            <b>on</b>
          </span>
        ))}
      </div>
    </header>
  );
}

function describeRange({ from, to }: Scene): string {
  const seconds = Math.round((to - from) / 1000);
  return seconds % 60 === 0 ? `Last ${seconds / 60} minutes` : `Last ${seconds} seconds`;
}

function RowHead({ panel }: { panel: PanelModel }) {
  return (
    <div className="section">
      <Icon name="angle-down" /> {panel.title}
    </div>
  );
}

// Draws the dashboard of data.json; `document.body.dataset.state` becomes `ready`, or `failed: ...`.
import { createTheme, type DataFrame, locationUtil, ThemeContext } from '@grafana/data';
import { GlobalStyles, PortalContainer } from '@grafana/ui';
import { createRoot } from 'react-dom/client';
import 'uplot/dist/uPlot.min.css';
import { Board } from './board';
import { configure, registerTransformers, transform } from './fields';
import { makeFrames } from './frames';
import type { Scene } from './scene';
import './main.css';

const theme = createTheme({ colors: { mode: 'dark' } });

async function prepare(scene: Scene): Promise<Map<number, DataFrame[]>> {
  const made = new Map<number, DataFrame[]>();
  for (const panel of scene.panels) {
    const frames = await transform(panel, makeFrames(scene.answers[panel.id] ?? []));
    made.set(panel.id, configure(panel, frames, theme));
  }
  return made;
}

async function settle(): Promise<void> {
  await document.fonts.ready;
  await new Promise((resolve) => setTimeout(resolve, 1500));
}

async function main(): Promise<void> {
  registerTransformers();
  locationUtil.initialize({
    // eslint-disable-next-line @typescript-eslint/no-explicit-any -- of Grafana's configuration, links need this only
    config: { appSubUrl: '' } as any,
    getVariablesUrlParams: () => ({}),
    getTimeRangeForUrl: () => ({ from: 'now-1h', to: 'now' }),
  });
  await Promise.all([document.fonts.load('400 14px Inter'), document.fonts.load('500 14px Inter')]);
  const scene: Scene = await (await fetch('data.json')).json();
  const frames = await prepare(scene);
  createRoot(document.getElementById('root')!, { onUncaughtError: fail }).render(
    <ThemeContext.Provider value={theme}>
      <GlobalStyles />
      <Board scene={scene} frames={frames} theme={theme} width={window.innerWidth} />
      <PortalContainer />
    </ThemeContext.Provider>
  );
  await settle();
  document.body.dataset['state'] ??= 'ready';
}

function fail(error: unknown): void {
  document.body.dataset['state'] = `failed: ${error instanceof Error ? error.stack : String(error)}`;
}

main().catch(fail);

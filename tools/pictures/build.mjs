// Bundles the page into dist/: script, style sheet, fonts and icons; nothing of it is loaded from elsewhere.
import { build } from 'esbuild';
import { cpSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';

const PAGE = `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8" />
    <title>Dashboards</title>
    <link rel="icon" href="data:," />
    <link rel="stylesheet" href="main.css" />
    <script>window.__grafana_public_path__ = '/public/';</script>
  </head>
  <body>
    <div id="root"></div>
    <script type="module" src="main.js"></script>
  </body>
</html>
`;

// The code editor and maps: parts of Grafana's packages that no dashboard of ours shows.
const leaveOut = {
  name: 'leave-out',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^(monaco-editor|@monaco-editor|ol)(\/|$)/ }, ({ path }) => ({ path, namespace: 'left-out' }));
    onLoad({ filter: /.*/, namespace: 'left-out' }, () => ({ contents: 'module.exports = {};' }));
  },
};

rmSync('dist', { recursive: true, force: true });
mkdirSync('dist/public/fonts/inter', { recursive: true });
await build({
  entryPoints: ['src/main.tsx'],
  bundle: true,
  format: 'esm',
  outdir: 'dist',
  minify: true,
  jsx: 'automatic',
  target: 'chrome120',
  define: { 'process.env.NODE_ENV': '"production"', global: 'window' },
  plugins: [leaveOut],
  logLevel: 'warning',
});
cpSync('node_modules/@grafana/ui/dist/public/img', 'dist/public/build/img', { recursive: true });
for (const face of ['Regular', 'Medium', 'Italic', 'MediumItalic']) {
  cpSync(`node_modules/inter-ui/web/Inter-${face}.woff2`, `dist/public/fonts/inter/Inter-${face}.woff2`);
}
writeFileSync('dist/index.html', PAGE);

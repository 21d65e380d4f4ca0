// Charts, by uPlot. They take their colours from the style sheet, so they are made anew when the theme changes.
/* global uPlot */

const dark = matchMedia("(prefers-color-scheme: dark)");
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

class Chart {
  constructor(place, options) {
    this.place = place;
    this.options = options;
    this.data = null;
    new ResizeObserver(() => this.fit()).observe(place);
    dark.addEventListener("change", () => this.renew());
  }

  show(data) {
    this.data = data;
    if (this.plot) this.plot.setData(data);
    else this.draw();
  }

  size() {
    return { width: Math.floor(this.place.clientWidth), height: Math.floor(this.place.clientHeight) };
  }

  fit() {
    const size = this.size();
    if (!size.width) return;
    if (!this.plot) this.draw();
    else if (size.width !== this.plot.width || size.height !== this.plot.height) this.plot.setSize(size);
  }

  // Where it cannot be seen it is drawn when it can.
  renew() {
    this.plot?.destroy();
    this.plot = null;
    this.draw();
  }

  draw() {
    const size = this.size();
    if (!this.data || !size.width) return;
    this.plot = new uPlot({ ...this.options(), ...size }, this.data, this.place);
  }
}

function axis(properties = {}) {
  const size = parseFloat(getComputedStyle(document.documentElement).fontSize) || 16;
  return {
    stroke: colour("--quiet"),
    font: `${Math.round(size * 0.75)}px system-ui, sans-serif`,
    grid: { stroke: colour("--line"), width: 1 },
    ticks: { show: false },
    space: size * 5,
    ...properties,
  };
}

// Seconds since the epoch, requests per second.
export function trend(place) {
  return new Chart(place, () => ({
    cursor: { y: false, points: { size: 7 } },
    legend: { show: false },
    padding: [8, 8, 0, 0],
    scales: { y: { range: (_, low, high) => [0, Math.max(high * 1.1, 0.2)] } },
    axes: [
      axis({
        size: 26,
        values: [
          [3600, "{HH}:{mm}", null, null, null, null, null, null, 1],
          [60, "{HH}:{mm}", null, null, null, null, null, null, 1],
          [1, "{HH}:{mm}:{ss}", null, null, null, null, null, null, 1],
        ],
      }),
      axis({
        size: 46,
        space: 36,
        values: (_, marks) => marks.map((mark) => (mark === 0 ? "0" : mark.toFixed(mark < 1 ? 2 : 1))),
      }),
    ],
    series: [
      {},
      {
        label: "requests/s",
        stroke: colour("--accent"),
        fill: colour("--accent-thin"),
        width: 1.5,
        points: { show: false },
        paths: uPlot.paths.stepped({ align: 1 }),
      },
    ],
  }));
}

// The last values of a tier.
export function spark(place, colourName) {
  return new Chart(place, () => ({
    cursor: { show: false },
    legend: { show: false },
    padding: [3, 3, 3, 3],
    scales: { x: { time: false }, y: { range: (_, low, high) => [0, Math.max(high * 1.05, 1e-9)] } },
    axes: [{ show: false }, { show: false }],
    series: [{}, { stroke: colour(colourName), width: 1.5, points: { show: false, size: 4 } }],
  }));
}

// Figures as people read them. What is not known is a dash.

export const UNKNOWN = "–";
const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

const known = (write) => (value) =>
  value === null || value === undefined || !Number.isFinite(value) ? UNKNOWN : write(value);
const digits = (value, count) =>
  value.toLocaleString("en", { minimumFractionDigits: count, maximumFractionDigits: count });

export const count = known((value) => whole.format(value));
export const percent = known((value) => `${digits(value, 1)} %`);
export const share = known((value) => percent(value * 100));
export const rate = known((value) => digits(value, value < 100 ? 1 : 0));
export const speed = known((value) => `${rate(value)} tok/s`);
export const perSecond = known((value) => `${digits(value, value < 100 ? 2 : 0)}/s`);
export const mebibytesPerSecond = known((value) => `${digits(value, value < 100 ? 2 : 0)} MiB/s`);
export const gibibytes = known((value) => `${digits(value, value < 100 ? 1 : 0)} GiB`);
export const degrees = known((value) => `${digits(value, 0)} °C`);
export const watts = known((value) => `${digits(value, 0)} W`);

export const bytes = known((value) => {
  let size = value;
  for (const unit of ["B", "KiB", "MiB", "GiB"]) {
    if (size < 1024) return `${digits(size, unit === "B" || size >= 100 ? 0 : 1)} ${unit}`;
    size /= 1024;
  }
  return `${digits(size, 1)} TiB`;
});

// A time that something took.
export const seconds = known((value) => {
  if (value < 0.01) return `${digits(value * 1000, 1)} ms`;
  if (value < 0.9995) return `${digits(value * 1000, 0)} ms`;
  if (value < 99.95) return `${digits(value, value < 9.995 ? 2 : 1)} s`;
  return span(value);
});
export const milliseconds = known((value) => seconds(value / 1000));

// A time that goes on: whole seconds, in two units.
export const span = known((value) => {
  const total = Math.max(0, Math.floor(value));
  const parts = [
    ["d", 86400],
    ["h", 3600],
    ["min", 60],
    ["s", 1],
  ];
  const first = parts.findIndex(([unit, length]) => total >= length || unit === "s");
  const [[unit, length], next] = [parts[first], parts[first + 1]];
  const amount = Math.floor(total / length);
  const rest = next ? Math.floor((total % length) / next[1]) : 0;
  return `${amount} ${unit}${next && rest ? ` ${rest} ${next[0]}` : ""}`;
});

// How old something is that may be quick.
export const age = known((value) => (value < 10 ? `${digits(Math.max(0, value), 1)} s` : span(value)));

// Times of day, in the reader's zone; another day is named.
const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const day = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });
const exact = new Intl.DateTimeFormat("en-GB", { dateStyle: "full", timeStyle: "long" });

export function time(moment) {
  const date = new Date(moment);
  if (Number.isNaN(date.getTime())) return UNKNOWN;
  const today = date.toDateString() === new Date().toDateString();
  return today ? clock.format(date) : `${day.format(date)}, ${clock.format(date)}`;
}
export const exactTime = (moment) => exact.format(new Date(moment));

export const waiting = (requests) =>
  `${count(requests)} ${requests === 1 ? "request waits" : "requests wait"} for a slot`;

export const words = (name) => name.replaceAll("_", " ");

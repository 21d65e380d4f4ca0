// The WebSocket and the event stream. One that breaks off is opened again, each time after a longer pause.

const SILENT_MS = 6000;
const STEADY_MS = 10_000;
const BLOCKED_MS = 30_000;
const PAUSES_MS = [1000, 2000, 4000, 8000, 15_000];

// In milliseconds, after so many failures. Pages that have lost the same sidecar do not all come back at once.
export const pause = (failures) => PAUSES_MS[Math.min(failures, PAUSES_MS.length) - 1] * (0.8 + 0.4 * Math.random());

// One stream that is opened again and again; `open(on)` opens it and returns what closes it. It counts as open when it
// has said something: there are proxies that open every stream and pass nothing on.
export class Stream {
  constructor(open, heard, changed) {
    this.open = open;
    this.heard = heard;
    this.changed = changed;
    this.isOpen = false;
    this.failures = 0;
    this.running = false;
  }

  start() {
    if (this.running) return;
    this.running = true;
    this.connect();
  }

  stop() {
    this.running = false;
    clearTimeout(this.timer);
    this.drop();
  }

  // The other side is known to be back.
  hurry() {
    if (!this.running || this.isOpen || !this.timer || this.failures < 2) return;
    clearTimeout(this.timer);
    this.failures = 1;
    this.connect();
  }

  connect() {
    this.timer = null;
    const attempt = (this.attempt = Symbol("attempt"));
    const mine = () => this.attempt === attempt && this.running;
    const said = (document) => mine() && this.hear(document);
    const ended = () => mine() && this.fail();
    try {
      this.close = this.open({ said, ended });
    } catch {
      this.fail();
    }
  }

  hear(document) {
    const now = performance.now();
    if (!this.isOpen) {
      this.isOpen = true;
      this.openedAt = now;
      this.changed();
    }
    // One that breaks off again and again is not well.
    if (now - this.openedAt > STEADY_MS) this.failures = 0;
    this.heard(document);
  }

  fail() {
    this.drop();
    this.failures += 1;
    // A proxy that does not let it through will not do so a second later; polling has the figures.
    const wait = this.failures > PAUSES_MS.length ? BLOCKED_MS : pause(this.failures);
    this.timer = setTimeout(() => this.connect(), wait);
    this.changed();
  }

  drop() {
    this.attempt = null;
    this.isOpen = false;
    this.close?.();
    this.close = null;
  }
}

export function openSocket(on) {
  const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/api/metrics/ws`);
  let silence;
  const listen = () => {
    clearTimeout(silence);
    silence = setTimeout(on.ended, SILENT_MS);
  };
  listen();
  socket.onmessage = (event) => {
    listen();
    on.said(JSON.parse(event.data));
  };
  socket.onclose = on.ended;
  return () => {
    clearTimeout(silence);
    socket.onmessage = socket.onclose = null;
    socket.close();
  };
}

export function openEvents(on) {
  const events = new EventSource("/metrics/active-requests/stream");
  for (const name of ["update", "disabled"]) events.addEventListener(name, (event) => on.said(JSON.parse(event.data)));
  events.onerror = on.ended;
  return () => {
    events.onerror = null;
    events.close();
  };
}

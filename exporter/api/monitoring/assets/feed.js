// Where the figures come from: a WebSocket, an event stream, and documents that are polled. Where streams are blocked,
// what they tell is polled, too. Whatever breaks off is tried again, each time after a longer pause.

const POLL_MS = 2000;
const HASTE_MS = 150;
const HASTE_EVERY_MS = 1000;
const LIMIT_MS = 10_000;
const SILENT_MS = 6000;
const BLOCKED_MS = 30_000;
const PAUSES_MS = [1000, 2000, 4000, 8000, 15_000];

export class SignedOut extends Error {}
export class NoAnswer extends Error {}

// A document. Raises SignedOut, and NoAnswer with what is known of the reason.
export async function ask(path, options = {}) {
  let answer;
  try {
    answer = await fetch(path, { ...options, signal: AbortSignal.timeout(LIMIT_MS), cache: "no-store" });
  } catch {
    throw new NoAnswer("the sidecar does not answer");
  }
  if (answer.status === 401) throw new SignedOut();
  let said = null;
  try {
    said = await answer.json();
  } catch {
    if (answer.ok) throw new NoAnswer(`the answer to ${path} cannot be read`);
  }
  if (!answer.ok) throw new NoAnswer(reason(said) ?? `${path} was answered with ${answer.status}`);
  return said;
}

function reason(said) {
  const error = said?.error ?? said?.detail;
  return typeof error === "string" ? error : error?.message ?? null;
}

const pause = (failures) => PAUSES_MS[Math.min(failures, PAUSES_MS.length) - 1] * (0.8 + 0.4 * Math.random());

// One stream that is opened again and again; `open(on)` opens it and returns what closes it.
class Stream {
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
    if (this.running && !this.isOpen && this.timer && this.failures > 1) {
      clearTimeout(this.timer);
      this.failures = 1;
      this.connect();
    }
  }

  connect() {
    this.timer = null;
    const attempt = (this.attempt = Symbol("attempt"));
    const mine = () => this.attempt === attempt && this.running;
    this.close = this.open({
      opened: () => {
        if (!mine()) return;
        this.isOpen = true;
        this.failures = 0;
        this.changed();
      },
      said: (document) => mine() && this.heard(document),
      ended: () => {
        if (!mine()) return;
        this.drop();
        this.failures += 1;
        // A proxy that does not let it through will not do so a second later; polling has the figures.
        const wait = this.failures > PAUSES_MS.length ? BLOCKED_MS : pause(this.failures);
        this.timer = setTimeout(() => this.connect(), wait);
        this.changed();
      },
    });
  }

  drop() {
    this.attempt = null;
    this.isOpen = false;
    this.close?.();
    this.close = null;
  }
}

function openSocket(on) {
  const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/api/metrics/ws`);
  let silence;
  const listen = () => {
    clearTimeout(silence);
    silence = setTimeout(on.ended, SILENT_MS);
  };
  listen();
  socket.onopen = on.opened;
  socket.onmessage = (event) => {
    listen();
    on.said(JSON.parse(event.data));
  };
  socket.onclose = on.ended;
  return () => {
    clearTimeout(silence);
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
  };
}

function openEvents(on) {
  const events = new EventSource("/metrics/active-requests/stream");
  events.onopen = on.opened;
  for (const name of ["update", "disabled"]) events.addEventListener(name, (event) => on.said(JSON.parse(event.data)));
  events.onerror = on.ended;
  return () => {
    events.onopen = events.onerror = null;
    events.close();
  };
}

export class Feed {
  // `heard` has a function for each document: metrics, tiers, now, live, active; `changed(state)` is told how it stands:
  // connecting, live, polling, lost, signed-out, paused.
  constructor(heard, changed) {
    this.heard = heard;
    this.told = changed;
    this.failures = 0;
    this.hastenedAt = 0;
    this.lostAt = null;
    this.streams = true;
    this.settled = false;
    this.socket = new Stream(openSocket, heard.live, () => this.note());
    this.events = new Stream(openEvents, heard.active, () => this.note());
    this.run = Symbol("none");
    document.addEventListener("visibilitychange", () => (document.hidden ? this.pause() : this.start()));
    addEventListener("online", () => this.tryNow());
  }

  // A page that nobody sees costs nothing.
  start() {
    if (document.hidden || this.running || this.over) return;
    this.running = true;
    this.socket.start();
    if (this.streams) this.events.start();
    this.poll();
    this.note();
  }

  pause() {
    this.running = false;
    this.run = Symbol("none");
    clearTimeout(this.timer);
    this.socket.stop();
    this.events.stop();
    this.note();
  }

  tryNow() {
    if (!this.running) return;
    clearTimeout(this.timer);
    this.poll();
  }

  // Something is seen of which more is known.
  hasten() {
    if (!this.running || this.failures || this.hastening || Date.now() - this.hastenedAt < HASTE_EVERY_MS) return;
    this.hastening = true;
    setTimeout(async () => {
      try {
        const now = await ask("/monitoring/now");
        if (this.running) this.heard.now(now);
      } catch {
        // The next poll finds out what is wrong, and says so.
      }
      this.hastening = false;
      this.hastenedAt = Date.now();
    }, HASTE_MS);
  }

  async poll() {
    const run = (this.run = Symbol("run"));
    this.timer = null;
    const mine = () => this.run === run;
    try {
      const [socketOpen, eventsOpen] = [this.socket.isOpen, this.events.isOpen];
      const [metrics, tiers, now, live, active] = await Promise.all([
        ask("/api/metrics?envelope=0"),
        ask("/api/metrics/tiers"),
        ask("/monitoring/now"),
        socketOpen || !this.settled ? null : this.askLive(),
        eventsOpen || !this.settled ? null : ask("/metrics/active-requests"),
      ]);
      if (!mine()) return;
      this.heard.now(now);
      this.heard.metrics(metrics);
      this.heard.tiers(tiers);
      if (live && !this.socket.isOpen) this.heard.live(live);
      if (active && !this.events.isOpen) this.heard.active(active);
      this.succeed(now);
      this.next(this.settled ? POLL_MS : HASTE_EVERY_MS);
      this.settled = true;
    } catch (error) {
      if (!mine()) return;
      if (error instanceof SignedOut) this.end();
      else this.fail(error);
    }
    this.note();
  }

  async askLive() {
    const names = ["queries", "resources", "routing"];
    const documents = await Promise.all(names.map((name) => ask(`/api/metrics/${name}`)));
    return { timestamp: new Date().toISOString(), ...Object.fromEntries(names.map((name, place) => [name, documents[place]])) };
  }

  succeed(now) {
    const wasLost = this.lostAt !== null;
    this.failures = 0;
    this.lostAt = null;
    this.streams = now.streams && now.recording;
    if (!this.streams) this.events.stop();
    else if (!this.events.running) this.events.start();
    if (wasLost) {
      this.socket.hurry();
      this.events.hurry();
    }
  }

  fail(error) {
    if (!(error instanceof NoAnswer)) console.error(error);
    this.failures += 1;
    this.why = error.message;
    this.lostAt ??= Date.now();
    this.next(pause(this.failures));
  }

  next(wait) {
    this.nextAt = Date.now() + wait;
    this.timer = setTimeout(() => this.poll(), wait);
  }

  // Only a new sign-in helps.
  end() {
    this.pause();
    this.over = true;
    this.note();
  }

  note() {
    this.told(this.over ? "signed-out" : !this.running ? "paused" : this.lostAt !== null ? "lost" : this.stateOfStreams());
  }

  stateOfStreams() {
    const eventsFine = this.events.isOpen || !this.streams;
    if (this.settled && this.socket.isOpen && eventsFine) return "live";
    const tried = (stream) => stream.isOpen || stream.failures > 0;
    return this.settled && tried(this.socket) && (tried(this.events) || !this.streams) ? "polling" : "connecting";
  }
}

// Where the figures come from: a WebSocket, an event stream, and documents that are polled. Where streams are blocked,
// what they tell is polled, too. Whatever breaks off is tried again, each time after a longer pause.

import { SignedOut, ask } from "./asking.js";
import { Stream, openEvents, openSocket, pause } from "./streams.js";

const POLL_MS = 2000;
const HASTE_MS = 150;
const HASTE_EVERY_MS = 1000;
const MOST_IN_FLIGHT = 200;

// What the WebSocket tells of which something is shown.
const LIVE = { resources: "/api/metrics/resources", routing: "/api/metrics/routing" };

export class Feed {
  // `heard` has a function for each document: metrics, tiers, now, live, active; `changed(state)` is told how it stands:
  // connecting, live, polling, lost, signed-out, paused.
  constructor(heard, changed) {
    this.heard = { ...heard, active: (said) => this.noteActive(said, heard.active) };
    this.told = changed;
    this.state = "connecting";
    this.failures = 0;
    this.lostAt = null;
    this.streams = true;
    this.settled = false;
    this.hastenedAt = -Infinity;
    this.troubles = new Map();
    this.inFlight = new Set();
    this.unlike = 0;
    this.socket = new Stream(openSocket, this.heard.live, () => this.note());
    this.events = new Stream(openEvents, this.heard.active, () => this.note());
    document.addEventListener("visibilitychange", () => (document.hidden ? this.pause() : this.start()));
    addEventListener("online", () => this.tryNow());
  }

  // A page that nobody sees costs nothing.
  start() {
    if (document.hidden || this.running || this.over) return;
    this.running = true;
    this.poll();
    this.socket.start();
    if (this.streams) this.events.start();
    this.note();
  }

  pause() {
    this.running = false;
    this.asking?.abort();
    clearTimeout(this.timer);
    this.socket.stop();
    this.events.stop();
    this.note();
  }

  tryNow() {
    if (this.running) this.poll();
  }

  // Something is seen of which more is known.
  hasten() {
    if (!this.running || this.failures || this.hastening || performance.now() - this.hastenedAt < HASTE_EVERY_MS)
      return;
    this.hastening = true;
    setTimeout(async () => {
      const run = this.asking;
      try {
        const now = await ask("/monitoring/now", { signal: run.signal });
        if (this.running && this.asking === run) this.heard.now(now);
      } catch {
        // The next poll finds out what is wrong, and says so.
      }
      this.hastening = false;
      this.hastenedAt = performance.now();
    }, HASTE_MS);
  }

  async poll() {
    clearTimeout(this.timer);
    this.asking?.abort();
    const run = (this.asking = new AbortController());
    const paths = { now: "/monitoring/now", metrics: "/api/metrics?envelope=0", tiers: "/api/metrics/tiers" };
    if (this.settled && !this.socket.isOpen) Object.assign(paths, LIVE);
    if (this.settled && !this.events.isOpen) paths.active = "/metrics/active-requests";
    const names = Object.keys(paths);
    const answers = await Promise.allSettled(names.map((name) => ask(paths[name], { signal: run.signal })));
    if (this.asking !== run || !this.running) return;
    const found = Object.fromEntries(names.map((name, place) => [name, answers[place]]));
    if (answers.some((answer) => answer.reason instanceof SignedOut)) this.end();
    else if (found.now.status === "rejected") this.fail(found.now.reason);
    else this.take(found);
    this.note();
  }

  // What has been answered; the rest of the page does not suffer from what was not.
  take(found) {
    this.troubles = new Map(
      Object.entries(found)
        .filter(([, answer]) => answer.reason)
        .map(([name, answer]) => [name, answer.reason.message]),
    );
    const said = (name) => found[name]?.value;
    this.succeed(said("now"));
    for (const name of ["now", "metrics", "tiers"]) if (said(name)) this.heard[name](said(name));
    if (said("active") && !this.events.isOpen) this.heard.active(said("active"));
    const live = Object.fromEntries(
      Object.keys(LIVE)
        .filter(said)
        .map((name) => [name, said(name)]),
    );
    if (Object.keys(live).length && !this.socket.isOpen) this.heard.live(live);
    this.checkEvents(said("now"));
    this.next(this.settled ? POLL_MS : HASTE_EVERY_MS);
    this.settled = true;
  }

  succeed(now) {
    const wasLost = this.lostAt !== null;
    this.failures = 0;
    this.lostAt = null;
    this.streams = now.streams && now.recording;
    if (!this.streams) this.events.stop();
    else this.events.start();
    if (wasLost) {
      this.socket.hurry();
      this.events.hurry();
    }
  }

  noteActive(said, hand) {
    this.inFlight = new Set((said.active_requests ?? []).map((each) => each.request_id));
    this.activeAt = performance.now();
    hand(said);
  }

  // An event stream is silent while nothing changes, and also when something on the way holds it back, or is gone.
  checkEvents(now) {
    const others =
      now.in_flight.some((each) => !this.inFlight.has(each.request_id)) || this.inFlight.size > now.in_flight.length;
    const silent = performance.now() - this.activeAt > POLL_MS;
    this.unlike = this.events.isOpen && silent && others && now.in_flight.length < MOST_IN_FLIGHT ? this.unlike + 1 : 0;
    if (this.unlike < 2) return;
    this.unlike = 0;
    this.events.fail();
  }

  fail(error) {
    this.failures += 1;
    this.why = error.message;
    this.lostAt ??= Date.now();
    this.next(pause(this.failures));
  }

  next(wait) {
    this.nextAt = performance.now() + wait;
    this.timer = setTimeout(() => this.poll(), wait);
  }

  // Until the next try, in seconds.
  get waits() {
    return Math.max(0, Math.ceil((this.nextAt - performance.now()) / 1000));
  }

  // Only a new sign-in helps.
  end() {
    this.over = true;
    this.pause();
  }

  note() {
    this.state = this.over
      ? "signed-out"
      : !this.running
        ? "paused"
        : this.lostAt !== null
          ? "lost"
          : this.stateOfStreams();
    this.told(this.state);
  }

  // A stream that breaks off once is soon open again; nothing is said of that.
  stateOfStreams() {
    const streams = this.streams ? [this.socket, this.events] : [this.socket];
    if (!this.settled) return "connecting";
    if (streams.every((stream) => stream.isOpen)) return "live";
    if (streams.some((stream) => stream.failures > 1)) return "polling";
    return this.state === "live" || this.state === "polling" ? this.state : "connecting";
  }
}

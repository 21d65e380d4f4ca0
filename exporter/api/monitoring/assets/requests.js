// The last finished requests: a list that stays where it is while it is read, filters, and where the time of each went.

import { FILTERS } from "./address.js";
import { List, byId, element, setText, show } from "./elements.js";
import { SignedOut, ask } from "./asking.js";
import { makeDetail, makeRow } from "./finished.js";
import * as format from "./format.js";

const LIMIT = 200;
const STORED_MS = 700;
const EVERY_MS = 5000;
const AGAIN = 4;
const LONGEST_MS = 30_000;
const OTHER_START_MS = 5000;

export class Requests {
  // `go(changes, replace)` changes what the address says.
  constructor(go, signedOut) {
    this.go = go;
    this.signedOut = signedOut;
    this.rows = [];
    this.waiting = [];
    this.filters = {};
    this.known = { model: new Set(), tier: new Set() };
    this.inFlight = new Set();
    this.timer = null;
    this.triedAt = -Infinity;
    this.failures = 0;
    this.heard = null;
    this.list = new List(
      byId("finished").tBodies[0],
      (row) => row.key,
      (row) => (row.detail ? makeDetail(row) : makeRow(row, (id) => this.toggle(id))),
    );
    this.form = byId("filters");
    this.form.addEventListener("change", () => this.choose());
    this.form.addEventListener("submit", (event) => event.preventDefault());
    this.form.addEventListener("reset", (event) => {
      event.preventDefault();
      this.go({ filters: Object.fromEntries(FILTERS.map((name) => [name, ""])), request: "" });
    });
    byId("newer").addEventListener("click", () => {
      this.takeWaiting();
      byId("requests-scroll").scrollTop = 0;
      byId("requests-scroll").focus({ preventScroll: true });
    });
    byId("requests-scroll").addEventListener("scroll", () => !this.isRead() && this.takeWaiting(), { passive: true });
  }

  choose() {
    this.go({
      filters: Object.fromEntries(FILTERS.map((name) => [name, this.form.elements[name].value])),
      request: "",
    });
  }

  visit(here, state) {
    const filters = JSON.stringify(state.filters);
    const arrived = here && !this.here;
    this.here = here;
    if (this.open !== state.request) this.isFound = false;
    this.open = state.request;
    for (const name of FILTERS) this.select(name, state.filters[name]);
    if (filters !== this.chosen) {
      this.chosen = filters;
      this.filters = state.filters;
      this.forget();
    }
    if (here && (arrived || this.heard === null)) this.refresh();
    this.show();
  }

  select(name, value) {
    const select = this.form.elements[name];
    if (value && ![...select.options].some((option) => option.value === value)) this.offer(name, value, true);
    select.value = value;
  }

  // Choices grow, and keep their order. What the address names is always one.
  offer(name, value, chosen = false) {
    if (!value || this.known[name]?.has(value)) return;
    const select = this.form.elements[name];
    if (select.options.length > 200 && !chosen) return;
    this.known[name]?.add(value);
    const after = [...select.options].slice(1).find((option) => option.value > value) ?? null;
    select.insertBefore(element("option", { value, text: value }), after);
  }

  now(now) {
    const began = Date.parse(now.started_at);
    // A sidecar that was started anew may have another store, which counts anew.
    if (this.began !== undefined && Math.abs(began - this.began) > OTHER_START_MS) this.forget();
    this.began = began;
    this.history = now.history;
    this.show();
    for (const tier of now.tiers) this.offer("tier", tier.name);
  }

  // What is in flight no more is about to be stored.
  active({ active_requests: rows = [] }) {
    const now = new Set(rows.map((row) => row.request_id));
    const ended = [...this.inFlight].some((id) => !now.has(id));
    this.inFlight = now;
    if (ended && this.here) this.soon(STORED_MS, AGAIN);
  }

  // The store is written twice a second, as a rule: what is not there yet is looked for again.
  soon(wait, again) {
    this.again = again;
    this.timer ??= setTimeout(async () => {
      this.timer = null;
      const found = this.here && (await this.refresh());
      if (this.here && !found && this.again > 1) this.soon(STORED_MS, this.again - 1);
    }, wait);
  }

  connection(state) {
    this.connected = state === "live" || state === "polling";
  }

  tick() {
    const wait = Math.min(EVERY_MS * 2 ** this.failures, LONGEST_MS);
    if (this.here && this.connected && performance.now() - this.triedAt > wait) this.refresh();
  }

  forget() {
    this.rows = [];
    this.waiting = [];
    this.heard = null;
    this.triedAt = -Infinity;
    this.failures = 0;
    this.problem = null;
    this.run = null;
    clearTimeout(this.timer);
    this.timer = null;
  }

  // Asks for what is newer than what there is. Returned is whether there was something.
  async refresh() {
    if (this.history === false || (this.busy && this.run === this.busy)) return false;
    const run = (this.run = this.busy = Symbol("run"));
    this.triedAt = performance.now();
    const query = new URLSearchParams({ limit: LIMIT });
    for (const name of FILTERS) if (this.filters[name]) query.set(name, this.filters[name]);
    const newest = this.waiting[0] ?? this.rows[0];
    if (newest) query.set("behind", newest.id);
    try {
      const said = await ask(`/monitoring/requests?${query}`);
      if (this.run !== run) return false;
      this.problem = null;
      this.failures = 0;
      this.searched = said.searched;
      this.heard = { wall: Date.now(), at: performance.now() };
      this.take(said.requests);
      return said.requests.length > 0;
    } catch (error) {
      if (error instanceof SignedOut) this.signedOut();
      else if (this.run === run) {
        this.problem = error.message;
        this.failures += 1;
      }
      return false;
    } finally {
      if (this.busy === run) this.busy = null;
      this.show();
    }
  }

  take(found) {
    for (const each of found) this.offer("model", each.model);
    for (const each of found) this.offer("tier", each.tier);
    this.waiting = [...found, ...this.waiting].slice(0, LIMIT);
    if (!this.rows.length || !this.isRead()) this.takeWaiting();
  }

  takeWaiting() {
    if (!this.waiting.length) return;
    this.rows = [...this.waiting, ...this.rows].slice(0, LIMIT);
    this.waiting = [];
    this.show();
  }

  // Whether somebody is looking at what must not move: a row is open, or the list is scrolled.
  isRead() {
    return byId("requests-scroll").scrollTop >= 8 || this.rows.some((row) => row.request_id === this.open);
  }

  show() {
    if (!this.here) return;
    const rows = this.rows.map((row) => ({ ...row, key: `${row.id}`, isOpen: row.request_id === this.open }));
    this.list.show(
      rows.flatMap((row) => (row.isOpen ? [row, { ...row, key: `${row.id} detail`, detail: true }] : [row])),
    );
    this.showNewer();
    const filtered = FILTERS.some((name) => this.filters[name]);
    setText(byId("requests-count"), this.count(filtered));
    this.showEmpty(filtered);
    this.showOpen();
  }

  // Its place is kept while there are none.
  showNewer() {
    const button = byId("newer");
    button.style.visibility = this.waiting.length ? "visible" : "hidden";
    setText(button, `Show ${this.waiting.length} newer`);
  }

  count(filtered) {
    if (this.problem && this.rows.length) return `Not brought up to date: ${this.problem}`;
    if (this.heard === null || !this.rows.length) return "";
    const lost =
      this.open && !this.rows.some((row) => row.request_id === this.open)
        ? `; request ${this.open} is not among them`
        : "";
    return `${format.count(this.rows.length)} shown${filtered ? `, of the last ${format.count(this.searched)}` : ""}${lost}`;
  }

  // A shared address leads to its request.
  showOpen() {
    const row =
      this.open &&
      !this.isFound &&
      this.list.kept.get(String(this.rows.find((each) => each.request_id === this.open)?.id));
    if (!row) return;
    this.isFound = true;
    row[0].scrollIntoView({ block: "nearest" });
  }

  showEmpty(filtered) {
    const empty = byId("requests-empty");
    const words = this.words(filtered);
    show(empty, words !== null);
    show(byId("requests-scroll"), this.rows.length > 0);
    if (words === null || words.join() === this.said) return;
    this.said = words.join();
    empty.replaceChildren(element("h3", { text: words[0] }), element("p", { text: words[1] }));
  }

  // What there is to say instead of a list, and what to do.
  words(filtered) {
    if (this.history === false)
      return [
        "No history is kept",
        "Restart the sidecar without --store none, or with --store sqlite:////path/history.db: the last requests then appear here.",
      ];
    if (this.problem && !this.rows.length)
      return ["The requests cannot be shown", `${this.problem}. They are asked for again, after ever longer pauses.`];
    if (this.rows.length) return null;
    if (this.heard === null) return ["Loading", "The last requests are being read from the store."];
    if (filtered)
      return [
        "No such request",
        `None of the newest ${format.count(this.searched)} requests is one. Clear a filter to see others.`,
      ];
    return ["No request has finished yet", "The overview has a command to try."];
  }

  toggle(id) {
    this.isFound = true;
    this.go({ request: this.open === id ? "" : id }, true);
  }
}

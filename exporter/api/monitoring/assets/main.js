// The page: puts the sections together, hands them what comes in, and says how the connection stands.

import * as address from "./address.js";
import { attempt, byId, setAttribute, setText, show } from "./elements.js";
import { Feed } from "./feed.js";
import * as format from "./format.js";
import { Models } from "./models.js";
import { Overview } from "./overview.js";
import { Requests } from "./requests.js";
import { Resources } from "./resources.js";
import { Routing } from "./routing.js";

// What is sampled (machine, servers) may be as old as two samples, and a little more.
const STALE_MS = { now: 8000, tiers: 8000, live: 8000, active: 8000, requests: 15_000, models: 15_000 };
const TROUBLES = {
  metrics: "the machine and the traffic",
  tiers: "tiers",
  active: "requests in flight",
  resources: "resources",
  routing: "routing",
};
const STATES = {
  connecting: "Connecting",
  live: "Live",
  polling: "Live by polling",
  lost: "No connection",
  "signed-out": "Signed out",
  paused: "Paused",
};

let state = address.read();
const heardAt = {};
let sampleMs = 5000;
let version = null;

const parts = {
  overview: new Overview(() => feed.hasten()),
  requests: new Requests((changes, replace) => go({ ...state, ...changes }, { replace }), signOut),
  models: new Models(signOut),
  routing: new Routing(),
  resources: new Resources(),
};
const all = Object.values(parts);

// Hands a document to every section that wants it, and notes when it was made.
function hand(name) {
  return (said) => {
    heardAt[name] = { wall: Date.now(), at: performance.now() };
    for (const part of all) attempt(() => part[name]?.(said));
    showTimes();
  };
}

const feed = new Feed(
  {
    metrics: (said) => {
      hand("metrics")(said);
      noteSampled("machine", said.metrics.timestamp, said.timestamp);
    },
    tiers: hand("tiers"),
    live: hand("live"),
    active: hand("active"),
    now: (said) => {
      hand("now")(said);
      // The event stream is silent while nothing changes; this document has just confirmed it.
      if (heardAt.active && feed.unlike === 0 && feed.events.isOpen) heardAt.active = heardAt.now;
      sampleMs = said.sample_seconds * 1000;
      const sampled = said.upstreams.map((each) => each.sampled_at).filter(Boolean);
      if (sampled.length) noteSampled("servers", sampled.sort()[0], said.timestamp);
      attempt(() => showHealth(said));
      attempt(() => showFrame(said));
    },
  },
  showConnection,
);

// What is sampled is as old as its sample, by the sidecar's own clock.
function noteSampled(name, sampled, told) {
  const age = Math.max(0, Date.parse(told) - Date.parse(sampled));
  heardAt[name] = { wall: Date.now() - age, at: performance.now() - age };
}

function signOut() {
  feed.end();
}

// Where we are

function go(wanted, { replace = false } = {}) {
  const moved = wanted.section !== state.section;
  state = wanted;
  address.write(state, { replace });
  arrive();
  if (moved) scrollTo(0, 0);
}

function arrive() {
  for (const section of address.SECTIONS) show(byId(section), section === state.section);
  for (const link of document.querySelectorAll("nav a"))
    setAttribute(link, "aria-current", link.dataset.section === state.section ? "page" : null);
  document.title = `${document.querySelector(`nav a[data-section=${state.section}]`).textContent} – llama-exporter`;
  for (const [name, part] of Object.entries(parts)) part.visit?.(name === state.section, state);
}

document.querySelector("nav").addEventListener("click", (event) => {
  const link = event.target.closest("a[data-section]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  go({ ...state, section: link.dataset.section });
});
addEventListener("popstate", () => {
  state = address.read();
  arrive();
});

// How it stands

let connection = "connecting";
let healthLevel = "unknown";

function showConnection(now) {
  connection = now;
  setAttribute(byId("connection"), "data-state", now);
  setText(byId("connection-state"), STATES[now]);
  show(byId("try-now"), now === "lost" || now === "signed-out");
  setText(byId("try-now"), now === "signed-out" ? "Sign in" : "Try now");
  document.body.classList.toggle("stale", now === "lost" || now === "signed-out");
  showDetail();
  for (const part of all) attempt(() => part.connection?.(now));
}

function showDetail() {
  let detail = "";
  if (connection === "lost") {
    const next = feed.waits ? `Next try in ${feed.waits} s.` : "Trying now.";
    detail = `No connection since ${format.time(feed.lostAt)}: ${feed.why}. ${next}`;
  } else if (connection === "signed-out") {
    detail = "You are signed out. These figures are out of date.";
  } else if (feed.troubles.size) {
    detail = `Cannot be shown: ${[...feed.troubles].map(([name, why]) => `${TROUBLES[name]} (${why})`).join("; ")}.`;
  }
  setText(byId("connection-detail"), detail);
  // What was last heard of the servers is worth nothing while there is no connection.
  const instead = connection === "lost" || connection === "signed-out";
  show(byId("connection-detail"), detail !== "");
  show(byId("health"), !instead);
  setAttribute(byId("notice"), "data-state", instead ? "bad" : healthLevel);
}

byId("try-now").addEventListener("click", () => {
  if (connection === "signed-out") return location.reload();
  byId("content").focus({ preventScroll: true }); // the button goes when there is a connection
  return feed.tryNow();
});

function showFrame(now) {
  setText(byId("instance"), now.instance);
  setText(byId("version"), `llama-exporter ${now.version}, up since ${format.time(now.started_at)}.`);
  show(byId("sign-out"), now.keys);
  renewPage(now.version);
}

// A sidecar of another version may tell other figures: its own page knows them. Two versions behind one address do not
// make it load again and again.
function renewPage(now) {
  const changed = version !== null && version !== now;
  version = now;
  if (!changed || sessionStorage.getItem("renewed for") === now) return;
  sessionStorage.setItem("renewed for", now);
  location.reload();
}

// One line that is always there: nothing jumps when a server fails.
function showHealth(now) {
  const [level, text] = health(now);
  healthLevel = level;
  setText(byId("health"), text);
  showDetail();
}

function health(now) {
  const servers = now.upstreams;
  if (!now.recording)
    return ["warn", "Nothing is recorded: metrics.enabled (LOG_REQUEST_METRICS) is off. Traffic flows."];
  if (!now.servers_sampled) return ["unknown", "llama-servers are not checked: sampling.llama_server is off"];
  const down = servers.filter((each) => each.up === false);
  if (down.length) {
    const level = down.length === servers.length && down.some((each) => each.state !== "loading") ? "bad" : "warn";
    const none = down.length === servers.length && servers.length > 1 ? "No llama-server answers requests. " : "";
    return [level, none + down.map(trouble).join(" ")];
  }
  const unknown = servers.filter((each) => each.up === null);
  if (unknown.length) return ["unknown", `Not checked yet: ${unknown.map((each) => each.name).join(", ")}`];
  return [
    "ok",
    servers.length === 1 ? `${full(servers[0].name)} answers` : `All ${servers.length} llama-servers answer`,
  ];
}

const full = (name) => (name === "llama-server" ? name : `llama-server ${name}`);

// Which one, since when, and what to do.
function trouble({ name, state, since, reason }) {
  const when = format.time(since);
  const why = reason ? ` (${reason})` : "";
  if (state === "loading") return `${full(name)} has been loading its model since ${when}.`;
  if (state === "error") return `${full(name)} has answered with errors since ${when}${why}: see its log.`;
  return `${full(name)} has not answered since ${when}${why}: start it, or see its log.`;
}

// As of when

function showTimes() {
  for (const node of document.querySelectorAll("[data-as-of]")) {
    const name = node.dataset.asOf;
    const heard = parts[name]?.heard ?? heardAt[name];
    setText(node, heard ? `as of ${format.time(heard.wall)}` : "");
    if (!heard) continue;
    const isOld = performance.now() - heard.at > (STALE_MS[name] ?? 2 * sampleMs + STALE_MS.now);
    setAttribute(node, "title", isOld ? "older than it should be" : null);
    node.classList.toggle("old", isOld || connection === "lost" || connection === "signed-out");
  }
}

setInterval(() => {
  if (document.hidden) return;
  showTimes();
  showDetail();
  for (const part of all) attempt(() => part.tick?.());
}, 1000);

address.write(state, { replace: true });
arrive();
feed.start();

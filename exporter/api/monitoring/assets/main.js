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

const STALE_MS = { now: 8000, metrics: 8000, tiers: 8000, live: 8000, active: 8000, requests: 15_000, models: 15_000 };
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
    metrics: hand("metrics"),
    tiers: hand("tiers"),
    live: hand("live"),
    active: hand("active"),
    now: (said) => {
      hand("now")(said);
      // The event stream is silent while nothing changes; this document has just confirmed it.
      if (heardAt.active && feed.unlike === 0 && feed.events.isOpen) heardAt.active = heardAt.now;
      attempt(() => showHealth(said));
      attempt(() => showFrame(said));
    },
  },
  showConnection,
);

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
    detail = `No connection since ${format.time(feed.lostAt)}: ${feed.why}. Next try in ${feed.waits} s.`;
  } else if (connection === "signed-out") {
    detail = "You are signed out; the figures are those of before.";
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
  const down = now.upstreams.filter((each) => each.up === false);
  const unknown = now.upstreams.filter((each) => each.up === null);
  if (!now.recording)
    return ["warn", "Nothing is recorded: metrics.enabled (LOG_REQUEST_METRICS) is off. Traffic flows."];
  if (down.length) {
    const each = down.map(
      (one) => `${one.name} since ${format.time(one.since)}${one.reason ? ` (${one.reason})` : ""}`,
    );
    const all = down.length === now.upstreams.length;
    return [
      all ? "bad" : "warn",
      `${all ? "No llama-server answers" : "Does not answer"}: ${each.join("; ")}. Start it, or see its log.`,
    ];
  }
  if (!now.servers_sampled) return ["unknown", "llama-servers are not looked at: sampling.llama_server is off"];
  if (unknown.length) return ["unknown", `Not looked at yet: ${unknown.map((each) => each.name).join(", ")}`];
  const servers = now.upstreams.length;
  return [
    "ok",
    servers === 1
      ? `${now.upstreams[0].name === "llama-server" ? "" : "llama-server "}${now.upstreams[0].name} answers`
      : `All ${servers} llama-servers answer`,
  ];
}

// As of when

function showTimes() {
  for (const node of document.querySelectorAll("[data-as-of]")) {
    const name = node.dataset.asOf;
    const heard = parts[name]?.heard ?? heardAt[name];
    setText(node, heard ? `as of ${format.time(heard.wall)}` : "");
    if (!heard) continue;
    const isOld = performance.now() - heard.at > STALE_MS[name];
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

// The page: puts the sections together, hands them what comes in, and says how the connection stands.

import * as address from "./address.js";
import { byId, setAttribute, setText, show } from "./elements.js";
import { Feed } from "./feed.js";
import * as format from "./format.js";
import { Models } from "./models.js";
import { Overview } from "./overview.js";
import { Requests } from "./requests.js";
import { Resources } from "./resources.js";
import { Routing } from "./routing.js";

const STALE_MS = { now: 8000, metrics: 8000, tiers: 8000, live: 5000, active: null, requests: null, models: 15_000 };
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
    heardAt[name] = Date.now();
    for (const part of all) part[name]?.(said);
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
      showHealth(said);
      showFrame(said);
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
  for (const link of document.querySelectorAll("nav a")) setAttribute(link, "aria-current", link.dataset.section === state.section ? "page" : null);
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

function showConnection(now) {
  connection = now;
  setAttribute(byId("connection"), "data-state", now);
  setText(byId("connection-state"), STATES[now]);
  show(byId("try-now"), now === "lost" || now === "signed-out");
  setText(byId("try-now"), now === "signed-out" ? "Sign in" : "Try now");
  document.body.classList.toggle("stale", now === "lost" || now === "signed-out");
  showDetail();
  for (const part of all) part.connection?.(now);
}

function showDetail() {
  let detail = "";
  if (connection === "lost") {
    const left = Math.max(0, Math.ceil((feed.nextAt - Date.now()) / 1000));
    detail = `since ${format.time(feed.lostAt)}: ${feed.why}. Next try in ${left} s.`;
  } else if (connection === "polling") {
    detail = "streams are blocked on the way; figures come every 2 s";
  } else if (connection === "signed-out") {
    detail = "the figures are those of before";
  }
  setText(byId("connection-detail"), detail);
}

byId("try-now").addEventListener("click", () => (connection === "signed-out" ? location.reload() : feed.tryNow()));

function showFrame(now) {
  setText(byId("instance"), now.instance);
  setText(byId("version"), `llama-exporter ${now.version}, up since ${format.time(now.started_at)}.`);
  show(byId("sign-out"), now.keys);
  // A sidecar of another version may tell other figures: its own page knows them.
  if (version !== null && version !== now.version) location.reload();
  version = now.version;
}

// One line that is always there: nothing jumps when a server fails.
function showHealth(now) {
  const [level, text] = health(now);
  setAttribute(byId("health"), "data-state", level);
  setText(byId("health"), text);
}

function health(now) {
  const down = now.upstreams.filter((each) => each.up === false);
  const unknown = now.upstreams.filter((each) => each.up === null);
  if (!now.recording) return ["warn", "Nothing is recorded: metrics.enabled (LOG_REQUEST_METRICS) is off. Traffic flows."];
  if (down.length) {
    const each = down.map((one) => `${one.name} since ${format.time(one.since)}${one.reason ? ` (${one.reason})` : ""}`);
    const all = down.length === now.upstreams.length;
    return [all ? "bad" : "warn", `${all ? "No llama-server answers" : "Does not answer"}: ${each.join("; ")}. Start it, or see its log.`];
  }
  if (unknown.length) return ["unknown", `Not looked at yet: ${unknown.map((each) => each.name).join(", ")}`];
  const servers = now.upstreams.length;
  return ["ok", servers === 1 ? `llama-server ${now.upstreams[0].name} answers` : `All ${servers} llama-servers answer`];
}

// As of when

function showTimes() {
  for (const node of document.querySelectorAll("[data-as-of]")) {
    const at = (node.dataset.asOf === "requests" ? parts.requests.askedAt : node.dataset.asOf === "models" ? parts.models.askedAt : null) ?? heardAt[node.dataset.asOf];
    if (!at) continue;
    const limit = STALE_MS[node.dataset.asOf];
    const stale = connection !== "live" && connection !== "polling" ? true : limit !== null && Date.now() - at > limit;
    setText(node, `as of ${format.time(at)}`);
    node.classList.toggle("old", stale);
  }
}

setInterval(() => {
  if (document.hidden) return;
  showTimes();
  showDetail();
  for (const part of all) part.tick?.();
}, 1000);

address.write(state, { replace: true });
arrive();
feed.start();

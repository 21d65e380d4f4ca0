// What is happening now: tiles, the rate of requests, what is in flight, tiers.

import { spark, trend } from "./charts.js";
import { List, byId, element, setAttribute, setText, show } from "./elements.js";
import * as format from "./format.js";
import { InFlight, SHOWN } from "./in_flight.js";
import { Tiles } from "./tiles.js";

const EVERYWHERE = ["0.0.0.0", "::", "[::]"];
const LOOPBACK = ["127.0.0.1", "localhost", "::1", "[::1]"];

export class Overview {
  // `unplaced` is called when a request is in flight of which it is not known where it went.
  constructor(unplaced) {
    this.unplaced = unplaced;
    this.tiles = new Tiles(byId("tiles"), [
      ["requests", "Requests", "since the sidecar started"],
      ["average", "Average time", "to the last byte"],
      ["models", "Active models", "loaded"],
      ["ttft", "Time to first token", "p50, p95 of 30 minutes"],
      ["decode", "Decode speed", "tokens/s: p50, p95"],
      ["cpu", "CPU", "of the machine"],
      ["memory", "Memory", "of the machine"],
      ["disk", "Disk", "of the main file system"],
      ["gpu", "GPU", ""],
      ["uptime", "Uptime", "of the sidecar"],
    ]);
    this.trend = trend(byId("trend"));
    this.trendFigures = new Tiles(
      byId("trend-figures"),
      [
        ["rate", "now", ""],
        ["requests", "in 30 minutes", ""],
        ["failed", "of these failed", ""],
        ["p50", "duration p50", ""],
        ["p95", "p95", ""],
      ],
      true,
    );
    this.inFlight = new InFlight(byId("active").tBodies[0]);
    this.tierList = new List(byId("tiers"), (tier) => tier.name, makeTier);
    byId("copy").addEventListener("click", () => this.copy());
  }

  metrics({ metrics }) {
    const tile = (name, figure, value, share) => this.tiles.set(name, [[figure, value]], share);
    tile("requests", "metrics.totalRequests", format.count(metrics.totalRequests));
    tile(
      "average",
      "metrics.avgResponseTime",
      metrics.totalRequests ? format.milliseconds(metrics.avgResponseTime) : format.UNKNOWN,
    );
    tile("models", "metrics.activeModels", format.count(metrics.activeModels));
    tile("cpu", "metrics.cpuUsage", format.percent(metrics.cpuUsage), metrics.cpuUsage / 100);
    tile("memory", "metrics.memoryUsage", format.percent(metrics.memoryUsage), metrics.memoryUsage / 100);
    tile("disk", "metrics.diskUsage", format.percent(metrics.diskUsage), metrics.diskUsage / 100);
    tile("uptime", "metrics.uptime", format.span(metrics.uptime));
    this.showGpu(metrics);
    this.total = metrics.totalRequests;
    this.showTraffic();
  }

  showGpu(metrics) {
    if (metrics.gpuName === undefined && metrics.gpuUsage === undefined) {
      this.tiles.set("gpu", [["metrics.gpuUsage", format.UNKNOWN]], null, "none found");
      return;
    }
    const more = [
      metrics.gpuMemoryUsage !== undefined && `memory ${format.percent(metrics.gpuMemoryUsage)}`,
      metrics.gpuTemperature !== undefined && format.degrees(metrics.gpuTemperature),
      metrics.gpuPowerUsage !== undefined && format.watts(metrics.gpuPowerUsage),
    ];
    const note = [metrics.gpuName, ...more].filter(Boolean).join(", ");
    const usage = metrics.gpuUsage;
    this.tiles.set(
      "gpu",
      [["metrics.gpuUsage", format.percent(usage)]],
      usage === undefined ? undefined : usage / 100,
      note,
    );
  }

  now(now) {
    const { figures, trend } = now;
    const pair = (name, write, part) => ["p50", "p95"].map((each) => [`figures.${name}.${each}`, write(part[each])]);
    this.tiles.set("ttft", pair("ttft_seconds", format.seconds, figures.ttft_seconds));
    this.tiles.set("decode", pair("output_tokens_per_second", format.rate, figures.output_tokens_per_second));
    this.showTrend(trend, figures);
    this.latest = now;
    this.inFlight.place(now.in_flight);
    this.showTierFigures(now.tiers);
    this.showTraffic();
  }

  showTrend(trend, figures) {
    const begin = Date.parse(trend.starts_at) / 1000;
    const rates = trend.requests.map((each) => each / trend.step_seconds);
    const rate = rates.at(-1) ?? 0;
    this.trendFigures.set("rate", [["trend.rate", format.perSecond(rate)]]);
    this.trendFigures.set("requests", [["figures.requests", format.count(figures.requests)]]);
    this.trendFigures.set("failed", [["figures.failed", format.count(figures.failed)]]);
    this.trendFigures.set("p50", [["figures.duration_seconds.p50", format.seconds(figures.duration_seconds.p50)]]);
    this.trendFigures.set("p95", [["figures.duration_seconds.p95", format.seconds(figures.duration_seconds.p95)]]);
    const key = `${trend.starts_at} ${trend.requests.join()}`;
    if (key === this.trendKey) return;
    this.trendKey = key;
    // Each step lasts until the next one begins; so does the last.
    const times = rates.map((_, place) => begin + place * trend.step_seconds);
    this.trend.show([
      [...times, begin + rates.length * trend.step_seconds],
      [...rates, rate],
    ]);
    const most = Math.max(0, ...rates);
    setAttribute(
      byId("trend"),
      "aria-label",
      `Requests per second over the last 30 minutes: ${format.perSecond(rate)} now, at most ${format.perSecond(most)}`,
    );
  }

  // What to do while there is nothing to see.
  showTraffic() {
    if (!this.latest || this.total === undefined) return;
    const { figures, upstreams, recording, proxy } = this.latest;
    const none = this.total === 0 && figures.requests === 0 && this.inFlight.count === 0;
    show(byId("no-traffic"), none);
    byId("trend").classList.toggle("hushed", none);
    if (!none) return;
    setText(byId("command"), command(upstreams, proxy));
    setText(byId("no-traffic-why"), advice(upstreams, proxy, recording));
  }

  async copy() {
    const button = byId("copy");
    try {
      await navigator.clipboard.writeText(byId("command").textContent);
      setText(button, "Copied");
    } catch {
      // Not a secure context: there it can be marked, and copied by hand.
      getSelection().selectAllChildren(byId("command"));
      setText(button, "Selected");
    }
    setTimeout(() => setText(button, "Copy"), 2000);
  }

  tiers({ tiers }) {
    this.tierList.show(tiers);
    this.counted = tiers.reduce((sum, tier) => sum + tier.requestCount, 0);
    this.showOthers();
    if (this.latest) this.showTierFigures(this.latest.tiers);
  }

  // Requests of tiers that have no card: whoever runs a Q8 model sees three empty ones, and wonders.
  showOthers() {
    const others = (this.total ?? 0) - this.counted;
    const words = `${format.count(others)} requests went to tiers that routing.tiers (--tiers) does not name, so they have no card.`;
    setText(byId("tiers-note"), others > 0 && this.counted === 0 ? words : "");
  }

  showTierFigures(tiers) {
    for (const tier of tiers) {
      const entry = this.tierList.kept.get(tier.name);
      if (!entry) continue;
      const node = entry[0].querySelector("[data-part=p95]");
      setText(node, format.seconds(tier.duration_seconds.p95));
    }
  }

  active({ active_requests: rows = [] }) {
    if (this.inFlight.show(rows)) this.unplaced();
    const count = rows.length;
    setText(byId("active-count"), count === 0 ? "none " : `${format.count(count)} `);
    setText(
      byId("active-note"),
      count > SHOWN
        ? `The newest ${SHOWN} of ${format.count(count)} are shown.`
        : "Requests are listed from their arrival to their last byte.",
    );
    this.showTraffic();
  }

  tick() {
    this.inFlight.tick();
  }
}

// A request that anybody can send.
function command(upstreams, proxy) {
  const chosen = upstreams.length > 1 || upstreams.some((each) => each.router) ? '"model": "auto", ' : "";
  const host = EVERYWHERE.includes(proxy.host) ? location.hostname : proxy.host;
  const place = host.includes(":") && !host.startsWith("[") ? `[${host}]` : host;
  const key = proxy.keys ? " -H 'Authorization: Bearer KEY'" : "";
  const body = `{${chosen}"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 32}`;
  return `curl http://${place}:${proxy.port}/v1/chat/completions -H 'Content-Type: application/json'${key} -d '${body}'`;
}

function advice(upstreams, proxy, recording) {
  if (!recording)
    return "Nothing is recorded: set metrics.enabled (LOG_REQUEST_METRICS) to true, and restart the sidecar.";
  if (upstreams.length && upstreams.every((each) => each.up === false)) {
    return "No llama-server answers, so nothing could answer a request. Start one; then try:";
  }
  const far = LOOPBACK.includes(proxy.host) && !LOOPBACK.includes(location.hostname);
  const where = far ? " on the sidecar's machine, since only that reaches the proxy (proxy.listen)" : "";
  return `Have your applications talk to the sidecar instead of llama-server, or try${where}:`;
}

// One tier: its last requests as lines, and its sums.
function makeTier(tier) {
  const speed = element("div", { class: "spark" });
  const latency = element("div", { class: "spark" });
  const figure = (key, label) => {
    const value = element("dd", { figure: `tiers.${tier.name}.${key}`, "data-part": key });
    return [value, element("div", {}, element("dt", { text: label }), value)];
  };
  const [requests, requestsRow] = figure("requestCount", "requests");
  const [errors, errorsRow] = figure("errorRate", "failed");
  const [p95, p95Row] = figure("p95", "duration p95");
  const [lastSpeed, lastLatency] = [
    element("span", { figure: `tiers.${tier.name}.tokensPerSec` }),
    element("span", { figure: `tiers.${tier.name}.latencyMs` }),
  ];
  setText(p95, format.UNKNOWN);
  const node = element(
    "li",
    { class: "card tier" },
    element("h4", { text: tier.name }),
    element(
      "div",
      { class: "sparks" },
      element("div", {}, element("p", { class: "quiet" }, "Speed ", lastSpeed), speed),
      element("div", {}, element("p", { class: "quiet" }, "Duration ", lastLatency), latency),
    ),
    element("dl", { class: "inline" }, requestsRow, errorsRow, p95Row),
  );
  const charts = [spark(speed, "--good"), spark(latency, "--accent")];
  return [
    node,
    (now) => {
      setText(requests, format.count(now.requestCount));
      setText(errors, format.share(now.errorRate));
      errors.classList.toggle("bad", now.errorRate >= 0.05);
      setText(lastSpeed, now.tokensPerSec.length ? format.speed(now.tokensPerSec.at(-1)) : format.UNKNOWN);
      setText(lastLatency, now.latencyMs.length ? format.milliseconds(now.latencyMs.at(-1)) : format.UNKNOWN);
      [now.tokensPerSec, now.latencyMs].forEach((values, which) =>
        charts[which].show([values.map((_, place) => place), values]),
      );
    },
  ];
}

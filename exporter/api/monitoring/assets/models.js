// The llama-servers and their models; loading and unloading.

import { List, bar, byId, element, named, setAttribute, setText, show } from "./elements.js";
import { SignedOut, ask } from "./asking.js";
import * as format from "./format.js";
import { makeUpstream } from "./upstreams.js";

const EVERY_MS = 5000;
const MOVING_MS = 1000;
const LONGEST_MS = 30_000;
const ANSWER_MS = 30_000;
const SEEN_MS = 3000;
const FOREIGN = `without keys (auth.api_keys), pages of ${location.origin} may not do that. Open this page by an IP address or localhost, or add that origin to admin.cors_origins.`;
const MOVING = ["loading", "unloading"];

export class Models {
  constructor(signedOut) {
    this.signedOut = signedOut;
    this.heard = null;
    this.triedAt = -Infinity;
    this.failures = 0;
    this.said = null;
    this.before = new Map();
    this.asked = new Map();
    this.upstreams = new List(byId("upstreams"), (each) => each.name, makeUpstream);
    this.list = new List(
      byId("model-list").tBodies[0],
      (model) => model.name,
      (model) => this.makeModel(model),
    );
  }

  now(now) {
    this.upstreams.show(now.upstreams);
  }

  visit(here) {
    this.here = here;
    if (here) this.refresh();
  }

  connection(state) {
    this.connected = state === "live" || state === "polling";
  }

  tick() {
    const wait = this.failures
      ? Math.min(EVERY_MS * 2 ** this.failures, LONGEST_MS)
      : this.isMoving
        ? MOVING_MS
        : EVERY_MS;
    if (this.here && this.connected && performance.now() - this.triedAt >= wait - 100) this.refresh();
  }

  async refresh() {
    if (this.busy) return;
    this.busy = true;
    this.triedAt = performance.now();
    try {
      this.said = await ask("/monitoring/models");
      this.heard = { wall: Date.now(), at: performance.now() };
      this.failures = 0;
      this.show();
    } catch (error) {
      this.failures += 1;
      if (error instanceof SignedOut) this.signedOut();
      else
        setText(
          byId("models-note"),
          `The models cannot be ${this.heard ? "brought up to date" : "shown"}: ${error.message}.`,
        );
    } finally {
      this.busy = false;
    }
  }

  show() {
    const { models, total, loads_on: loadsOn } = this.said;
    this.settle(models);
    this.isMoving = models.some((model) => MOVING.includes(model.status)) || this.asked.size > 0;
    this.list.show(models);
    setText(
      byId("models-count"),
      models.length < total
        ? `the first ${format.count(models.length)} of ${format.count(total)} `
        : `${format.count(total)} `,
    );
    const note = loadsOn
      ? `Models are loaded and unloaded on ${loadsOn}.`
      : "No llama-server here loads models on demand. To load and unload them here, start one in router mode (without -m), or have the sidecar run one (--manage-llama-server PATH).";
    setText(byId("models-note"), models.length ? note : `No llama-server has listed its models yet. ${note}`);
  }

  // What was asked for holds until something of it is seen, or it is clear that nothing will be.
  settle(models) {
    const now = new Map(models.map((model) => [model.name, model]));
    const ended = new Map([...this.before].filter(([, status]) => MOVING.includes(status)));
    for (const [name, { verb, status, answeredAt }] of this.asked) {
      const isOver = answeredAt !== null && performance.now() - answeredAt > SEEN_MS;
      if (now.get(name)?.status === status && !isOver) continue;
      this.asked.delete(name);
      ended.set(name, `${verb}ing`);
    }
    for (const [name, was] of ended) {
      if (now.has(name) && !MOVING.includes(now.get(name).status)) this.tell(now.get(name), was);
    }
    this.before = new Map(models.map((model) => [model.name, model.status]));
  }

  tell({ name, status, error }, was) {
    if (status === "error") this.say(`${name} was not loaded: ${error ?? "its log says why"}`, true);
    else if (status !== "stopped") this.say(`${name} is loaded.`);
    else this.say(was === "loading" ? `${name} was not loaded.` : `${name} is not loaded any more.`);
  }

  makeModel(model) {
    const cell = (properties) => element("td", properties);
    const [state, server, tier, quantization] = [
      cell({}),
      cell({ class: "wide" }),
      cell({ class: "wide" }),
      cell({ class: "wide" }),
    ];
    const [size, slots, context, action] = [
      cell({ class: "number wide" }),
      cell({ class: "number wide" }),
      cell({ class: "number wide" }),
      cell({ class: "action" }),
    ];
    const word = element("span", { class: "state" });
    const more = element("span", { class: "quiet note block" });
    const [meter, fill] = bar(`Loading ${model.name}`);
    state.append(word, meter, more);
    const button = element("button", { type: "button" });
    action.append(button);
    let now = model;
    button.addEventListener("click", () => this.act(now));
    const node = element(
      "tr",
      { "data-model": model.name },
      element("th", { scope: "row" }, named("span", model.name, { class: "cut" })),
      state,
      server,
      tier,
      quantization,
      size,
      slots,
      context,
      action,
    );
    return [
      node,
      (said) => {
        now = said;
        const asked = this.asked.get(said.name);
        setText(word, asked ? (asked.verb === "load" ? "loading" : "unloading") : said.status);
        setAttribute(word, "data-state", asked ? "loading" : said.status);
        const progress = said.status === "loading" ? said.progress : null;
        show(meter, progress !== null);
        fill(progress, progress === null ? "" : format.share(progress));
        const left =
          said.status === "loading" && said.remaining_seconds !== null
            ? `about ${format.span(said.remaining_seconds)} left`
            : "";
        const stage = said.status === "loading" && said.stage ? format.words(said.stage) : "";
        setText(
          more,
          said.error ?? [progress === null ? "" : format.share(progress), stage, left].filter(Boolean).join(", "),
        );
        setText(server, said.upstream ?? format.UNKNOWN);
        setText(tier, said.tier ?? format.UNKNOWN);
        setText(quantization, said.quantization ?? format.UNKNOWN);
        setText(size, format.bytes(said.size_bytes));
        setText(
          slots,
          said.slots === null ? format.UNKNOWN : `${format.count(said.slots_busy)} of ${format.count(said.slots)}`,
        );
        setText(
          context,
          said.context_tokens === null
            ? format.count(said.context_size)
            : `${format.count(said.context_tokens_used)} of ${format.count(said.context_tokens)}`,
        );
        show(button, said.can_load || said.can_unload);
        setText(button, said.can_unload ? "Unload" : said.status === "error" ? "Load again" : "Load");
        setAttribute(button, "aria-label", `${button.textContent} ${said.name}`);
        // It stays where it is, so that the keyboard does not lose it.
        setAttribute(button, "aria-disabled", asked || said.status === "unloading" ? "true" : null);
      },
    ];
  }

  async act(model) {
    if (this.asked.has(model.name) || model.status === "unloading") return;
    const verb = model.can_unload ? "unload" : "load";
    const asked = { verb, status: model.status, answeredAt: null };
    this.asked.set(model.name, asked);
    this.say(verb === "load" ? `Loading ${model.name}.` : `Unloading ${model.name}.`);
    this.show();
    try {
      await ask(`/api/models/${encodeURIComponent(model.name)}/${verb}`, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: "{}",
        limit: ANSWER_MS,
      });
      asked.answeredAt = performance.now();
    } catch (error) {
      this.asked.delete(model.name);
      if (error instanceof SignedOut) this.signedOut();
      else this.say(`${model.name} was not ${verb}ed: ${error.status === 403 ? FOREIGN : error.message}`, true);
    }
    this.show();
    this.refresh();
  }

  say(text, isBad = false) {
    setText(byId("models-message"), text);
    byId("models-message").classList.toggle("bad", isBad);
  }
}

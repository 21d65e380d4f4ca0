// The card of one llama-server.

import { element, gauge, named, setAttribute, setText } from "./elements.js";
import * as format from "./format.js";

const STATES = {
  ready: "answers",
  busy: "busy: it answers requests, but not the health check",
  loading: "is loading its model",
  unreachable: "does not answer",
  error: "answers, but not as it should",
};

// Returned are the element, and what shows its newest state.
export function makeUpstream(upstream) {
  const word = element("span", { class: "state", figure: `upstreams.${upstream.name}.state` });
  const since = element("span", { class: "quiet" });
  const reason = element("p", { class: "note bad" });
  const tiers = element("span", { class: "tags" });
  const line = (name, label, warns) =>
    gauge(label, `upstreams.${upstream.name}.${name}`, `${label} of ${upstream.name}`, warns);
  const [slots, setSlots] = line("slots", "Slots busy", false);
  const [context, setContext] = line("context", "Context used", true);
  const more = element("p", { class: "quiet note" });
  const node = element(
    "li",
    { class: "card upstream", "data-upstream": upstream.name },
    element("div", { class: "card-head" }, element("h4", {}, named("span", upstream.name, { class: "cut" })), tiers),
    element("p", {}, word, " ", since),
    slots,
    context,
    reason,
    more,
  );
  return [
    node,
    (now) => {
      setAttribute(word, "data-state", now.up === null ? "unknown" : now.up ? "running" : "error");
      setText(word, now.state === null ? "not checked yet" : STATES[now.state]);
      setText(since, now.since ? `since ${format.time(now.since)}` : "");
      setText(tiers, now.tiers.join(", "));
      setText(reason, now.up === false ? (now.reason ?? "") : "");
      const set = (part, used, total) =>
        total
          ? part(`${format.count(used)} of ${format.count(total)}`, (used ?? 0) / total)
          : part(format.UNKNOWN, null);
      set(setSlots, now.slots_busy, now.slots);
      set(setContext, now.context_tokens_used, now.context_tokens);
      const models = now.router
        ? `${format.count(now.models_loaded)} of ${format.count(now.models)} models loaded`
        : "";
      const waiting = now.requests_deferred ? format.waiting(now.requests_deferred) : "";
      const untold =
        now.up && now.models_loaded && now.context_tokens === null ? "start it with --slots to see its context" : "";
      setText(more, [models, waiting, untold].filter(Boolean).join("; "));
    },
  ];
}

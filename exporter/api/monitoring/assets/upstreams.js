// The card of one llama-server.

import { bar, element, named, setAttribute, setText, show } from "./elements.js";
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
  const line = (name, label, warns) => {
    const value = element("span", { figure: `upstreams.${upstream.name}.${name}` });
    const [meter, fill] = bar(`${label} of ${upstream.name}`, warns);
    return {
      node: element(
        "div",
        { class: "line" },
        element("p", { class: "meter-head" }, element("span", { class: "quiet", text: label }), value),
        meter,
      ),
      value,
      meter,
      fill,
    };
  };
  const [slots, context] = [line("slots", "Slots busy", false), line("context", "Context used", true)];
  const more = element("p", { class: "quiet note" });
  const node = element(
    "li",
    { class: "card upstream", "data-upstream": upstream.name },
    element("div", { class: "card-head" }, element("h4", {}, named("span", upstream.name, { class: "cut" })), tiers),
    element("p", {}, word, " ", since),
    slots.node,
    context.node,
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
      const fill = (part, used, total, without) => {
        setText(part.value, total ? `${format.count(used)} of ${format.count(total)}` : without);
        show(part.meter, Boolean(total));
        if (total) part.fill((used ?? 0) / total, part.value.textContent);
      };
      fill(slots, now.slots_busy, now.slots, format.UNKNOWN);
      fill(context, now.context_tokens_used, now.context_tokens, format.UNKNOWN);
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

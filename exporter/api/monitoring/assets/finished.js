// A finished request: its line in the list, and what stands below it when it is open.

import { element, named, setAttribute, setText } from "./elements.js";
import * as format from "./format.js";
import { timeline } from "./timeline.js";

// A line of the list; `toggle` opens and closes it.
export function makeRow(row, toggle) {
  const time = element("time", { datetime: row.finished_at, title: format.exactTime(row.finished_at) });
  const button = element("button", { type: "button", class: "opener", title: "Where its time went" }, time);
  button.addEventListener("click", () => toggle(row.request_id));
  const cell = (text, properties = {}) => element("td", { ...properties, text });
  const model = row.model ?? format.UNKNOWN;
  const node = element(
    "tr",
    { "data-request": row.request_id, "data-outcome": row.outcome },
    element("td", {}, button),
    element("th", { scope: "row" }, named("span", model, { class: "cut" })),
    cell(row.tier, { class: "wide" }),
    element(
      "td",
      {},
      element("span", { class: `outcome ${row.outcome}`, text: format.words(row.outcome) }),
      row.fallback ? element("span", { class: "tag", text: "fallback" }) : null,
    ),
    cell(format.count(row.output_tokens), { class: "number wide" }),
    cell(format.seconds(row.timeline.first_token_seconds), { class: "number wide" }),
    cell(format.speed(row.output_tokens_per_second), { class: "number wide" }),
    cell(format.seconds(row.duration_seconds), { class: "number" }),
  );
  return [
    node,
    (now) => {
      setText(time, format.time(row.finished_at)); // it has a day as soon as that is another one
      setAttribute(button, "aria-expanded", now.isOpen);
    },
  ];
}

// All that is known of it, and where its time went.
export function makeDetail(row) {
  const facts = [
    ["Status", row.status_code === null ? "no answer" : String(row.status_code)],
    row.error_type && ["Error", row.error_type],
    row.finish_reason && ["Finish reason", row.finish_reason],
    ["Operation", `${format.words(row.operation)}${row.streamed ? ", streamed" : ""}`],
    ["Server", row.upstream ?? "none was tried"],
    row.requested_model !== row.model && row.requested_model && ["Asked for", row.requested_model],
    row.origin && ["From", row.origin],
    row.complexity && ["Complexity", row.complexity.toLowerCase()],
    row.wanted_tier && row.wanted_tier !== row.tier && ["Wanted tier", row.wanted_tier],
    [
      "Prompt tokens",
      `${format.count(row.input_tokens)}${row.cached_tokens ? `, ${format.count(row.cached_tokens)} of them cached` : ""}`,
    ],
    ["Generated tokens", format.count(row.output_tokens)],
    row.attempts > 1 && ["Attempts", format.count(row.attempts)],
    ["Request id", row.request_id],
    ["Trace id", row.trace_id ?? "none: it was not traced"],
  ].filter(Boolean);
  const node = element(
    "tr",
    { class: "detail", "data-detail": row.request_id },
    element(
      "td",
      { colspan: 8 },
      timeline(row),
      element(
        "dl",
        { class: "facts" },
        ...facts.map(([name, value]) =>
          element("div", {}, element("dt", { text: name }), element("dd", { text: value, "data-fact": name })),
        ),
      ),
    ),
  );
  return [node, () => {}];
}

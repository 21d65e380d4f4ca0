// Where the time of a finished request went, as a bar of parts and as a list.

import { element } from "./elements.js";
import * as format from "./format.js";

// The parts in their order, with their seconds. What llama-server has not timed is told apart by the first token alone.
export function parts(row) {
  const {
    overhead_seconds: overhead,
    queue_seconds: queue,
    prefill_seconds: prefill,
    decode_seconds: decode,
    first_token_seconds: first,
    last_token_seconds: last,
  } = row.timeline;
  const found = [];
  const add = (name, label, seconds) => seconds !== null && seconds > 0 && found.push({ name, label, seconds });
  if (prefill !== null || decode !== null) {
    add("queue", "Queue", queue);
    add("prefill", "Prefill", prefill);
    add("decode", "Decode", decode);
  } else if (first !== null) {
    add("prefill", "To the first token", first);
    add("decode", "From the first to the last token", last === null ? null : last - first);
  }
  const rest = row.duration_seconds - found.reduce((sum, each) => sum + each.seconds, 0);
  if (found.length && rest > 0.02 * row.duration_seconds) add("rest", "Other", rest);
  if (!found.length) add("rest", "No breakdown available", row.duration_seconds);
  return { found, first, overhead };
}

export function timeline(row) {
  const { found, first, overhead } = parts(row);
  const whole =
    Math.max(
      row.duration_seconds,
      found.reduce((sum, each) => sum + each.seconds, 0),
    ) || 1;
  const line = element("div", { class: "timeline", "aria-hidden": "true" });
  for (const part of found) {
    const piece = element("span", {
      class: `part ${part.name}`,
      title: `${part.label}: ${format.seconds(part.seconds)}`,
    });
    piece.style.setProperty("--share", `${(100 * part.seconds) / whole}%`);
    line.append(piece);
  }
  if (first !== null) {
    const mark = element("span", { class: "first-token", title: `First token: ${format.seconds(first)}` });
    mark.style.setProperty("--share", `${(100 * Math.min(first, whole)) / whole}%`);
    line.append(mark);
  }
  const named = found.map((part) => entry(part.label, part.seconds, part.name));
  if (first !== null) named.push(entry("First token at", first, "first"));
  named.push(entry("Total", row.duration_seconds, null));
  if (overhead !== null) named.push(entry("Sidecar overhead", overhead, null));
  return element("div", { class: "course" }, line, element("dl", { class: "inline legend" }, ...named));
}

function entry(label, seconds, name) {
  return element(
    "div",
    {},
    element("dt", { class: name && `key ${name}`, text: label }),
    element("dd", { "data-part": name ?? label, text: format.seconds(seconds) }),
  );
}

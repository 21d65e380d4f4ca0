import { element, setAttribute, setText, show } from "./elements.js";
import * as format from "./format.js";

export const SHOWN = 100;
const PLACES = 6;
const LINGER_MS = 1500;

// The table of what is in flight. Each request keeps its line while it lives, and a moment longer, so that nothing jumps.
export class InFlight {
  constructor(body) {
    this.body = body;
    this.lines = [];
    this.rows = new Map();
    this.placed = new Map();
    this.count = 0;
    while (this.lines.length < PLACES) this.addLine();
  }

  addLine() {
    const cells = ["name", "tier", "upstream wide", "number age", "number tokens", "number speed"].map((name, place) =>
      element(place ? "td" : "th", { class: name, scope: place ? null : "row" }),
    );
    const node = element("tr", { class: "free", "aria-hidden": "true" }, ...cells);
    cells[0].textContent = "\u00a0";
    this.body.append(node);
    const line = { node, cells, id: null, goneAt: 0 };
    this.lines.push(line);
    return line;
  }

  // Returned is whether there is one of which it is not known where it went.
  show(rows) {
    const at = performance.now();
    this.count = rows.length;
    this.rows = new Map(rows.slice(0, SHOWN).map((row) => [row.request_id, { ...row, at }]));
    const lines = new Map(this.lines.filter((line) => line.id !== null).map((line) => [line.id, line]));
    for (const [id, line] of lines) {
      if (!this.rows.has(id)) this.end(line);
      else if (line.goneAt) this.revive(line);
    }
    // The oldest first: who came first stands higher.
    for (const row of [...this.rows.values()].reverse()) if (!lines.has(row.request_id)) this.take(row);
    this.tick();
    return [...this.rows.keys()].some((id) => !this.placed.get(id)?.upstream);
  }

  take(row) {
    const line =
      this.lines.find((each) => each.id === null) ?? this.lines.find((each) => each.goneAt) ?? this.addLine();
    line.id = row.request_id;
    line.goneAt = 0;
    line.node.className = "";
    line.node.removeAttribute("aria-hidden");
    line.node.dataset.request = row.request_id;
    line.name = element("span", { class: "cut" });
    line.kind = element("span", { class: "tag", text: "not streamed" });
    line.cells[0].replaceChildren(line.name, line.kind);
  }

  revive(line) {
    line.goneAt = 0;
    line.node.className = "";
  }

  end(line) {
    if (line.goneAt) return;
    line.goneAt = performance.now();
    line.node.className = "gone";
  }

  place(inFlight) {
    // One that has just ended is not in it any more, and still stands here for a moment.
    const before = [...this.placed].filter(([id]) => this.rows.has(id));
    this.placed = new Map([...before, ...inFlight.map((each) => [each.request_id, each])]);
    this.tick();
  }

  tick() {
    const now = performance.now();
    for (const line of this.lines) {
      const row = this.rows.get(line.id);
      if (row) this.fill(line, row, now);
      else if (line.goneAt && now - line.goneAt > LINGER_MS) this.free(line);
    }
  }

  fill(line, row, now) {
    const [, tier, upstream, age, tokens, speed] = line.cells;
    const placed = this.placed.get(row.request_id);
    const model = row.model || format.UNKNOWN;
    const chosen = row.resolved_model && row.resolved_model !== model ? ` → ${row.resolved_model}` : "";
    setText(line.name, `${model}${chosen}`);
    setAttribute(line.name, "title", `${model}${chosen}`);
    show(line.kind, row.is_streaming === false);
    setText(tier, placed ? placed.tier : format.UNKNOWN);
    setText(upstream, placed?.upstream ?? format.UNKNOWN);
    setText(age, format.age((row.duration_ms + now - row.at) / 1000));
    setText(tokens, format.count(row.output_tokens));
    setText(speed, format.rate(placed?.output_tokens_per_second));
  }

  free(line) {
    line.id = null;
    line.goneAt = 0;
    line.node.className = "free";
    line.node.setAttribute("aria-hidden", "true");
    delete line.node.dataset.request;
    line.cells.forEach((cell) => setText(cell, ""));
    line.cells[0].textContent = "\u00a0";
    while (this.lines.length > PLACES && this.lines.at(-1).id === null) this.lines.pop().node.remove();
  }
}

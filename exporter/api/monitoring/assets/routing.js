// What routing decides, and who can answer.

import { List, bar, byId, element, setText } from "./elements.js";
import * as format from "./format.js";
import { Tiles } from "./tiles.js";

export class Routing {
  constructor() {
    this.tiles = new Tiles(byId("routing-tiles"), [
      ["total", "Decisions", "since the sidecar started"],
      ["fallback", "Fallback rate", "sent to another tier or server than intended"],
      ["time", "Decision time", "mean of the last 100"],
    ]);
    this.availability = new List(byId("availability"), (tier) => tier.tier, makeTier);
    this.cells = new Map();
    this.columns = "";
  }

  live({ routing }) {
    if (!routing) return;
    const { accuracyMetrics: all, decisionMatrix: matrix, modelAvailability: models } = routing;
    this.tiles.set("total", [["routing.totalDecisions", format.count(all.totalDecisions)]]);
    this.tiles.set(
      "fallback",
      [["routing.fallbackRate", format.share(all.fallbackRate)]],
      all.totalDecisions ? all.fallbackRate : null,
    );
    this.tiles.set("time", [
      ["routing.avgDecisionTimeMs", all.totalDecisions ? format.milliseconds(all.avgDecisionTimeMs) : format.UNKNOWN],
    ]);
    this.showMatrix(matrix);
    this.availability.show(models);
    setText(
      byId("routing-note"),
      all.totalDecisions
        ? "The darker a field, the more of the requests of its row went there. The score is the mean complexity score."
        : 'No routing decisions yet. Requests are routed where there are several llama-servers or models, and a client sends "model": "auto", none, or X-Routing-Tier.',
    );
  }

  showMatrix(matrix) {
    const rows = [...new Set(matrix.map((each) => each.complexity))];
    const columns = [...new Set(matrix.map((each) => each.tier))];
    const key = JSON.stringify([rows, columns]);
    if (this.columns !== key) this.build(rows, columns);
    this.columns = key;
    const sums = Object.fromEntries(
      rows.map((row) => [
        row,
        matrix.filter((each) => each.complexity === row).reduce((sum, each) => sum + each.count, 0),
      ]),
    );
    for (const each of matrix) {
      const [node, count, score] = this.cells.get(`${each.complexity}.${each.tier}`);
      const part = sums[each.complexity] ? each.count / sums[each.complexity] : 0;
      node.style.setProperty("--part", `${Math.round(part * 40)}%`);
      setText(count, format.count(each.count));
      setText(score, each.count ? `score ${each.avgScore.toFixed(2)}` : "");
    }
  }

  build(rows, columns) {
    const table = byId("matrix");
    this.cells.clear();
    table.tHead.replaceChildren(
      element("tr", {}, element("td"), ...columns.map((tier) => element("th", { scope: "col", text: tier }))),
    );
    table.tBodies[0].replaceChildren(
      ...rows.map((row) =>
        element(
          "tr",
          {},
          element("th", { scope: "row", text: row.toLowerCase() }),
          ...columns.map((tier) => {
            const count = element("span", { class: "count", figure: `routing.${row}.${tier}` });
            const score = element("span", { class: "quiet note", figure: `routing.${row}.${tier}.score` });
            const node = element("td", {}, count, score);
            this.cells.set(`${row}.${tier}`, [node, count, score]);
            return node;
          }),
        ),
      ),
    );
  }
}

function makeTier(tier) {
  const words = element("span", { figure: `availability.${tier.tier}` });
  const [meter, fill] = bar(`Models of ${tier.tier} that can answer`, false);
  return [
    element("li", {}, element("span", { class: "meter-head" }, element("span", { text: tier.tier }), words), meter),
    (now) => {
      const text = now.total ? `${format.count(now.available)} of ${format.count(now.total)}` : "none";
      setText(words, text);
      fill(now.total ? now.available / now.total : 0, text);
      words.classList.toggle("bad", now.available < now.total);
    },
  ];
}

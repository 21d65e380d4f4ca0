import { bar, element, setText, show } from "./elements.js";
import { UNKNOWN } from "./format.js";

// Figures with a name each, which keep their places.
export class Tiles {
  constructor(parent, tiles, inline = false) {
    this.tiles = new Map();
    for (const [name, title, note] of tiles) {
      const value = element(inline ? "dd" : "p", { class: "value" });
      if (inline) {
        parent.append(element("div", {}, element("dt", { text: title }), value));
        this.tiles.set(name, { value, shown: "" });
        continue;
      }
      const [meter, fill] = bar(title);
      meter.hidden = true;
      const quiet = element("p", { class: "quiet note", text: note });
      parent.append(element("li", { class: "card tile" }, element("h3", { text: title }), value, meter, quiet));
      value.append(element("span", { text: UNKNOWN }));
      this.tiles.set(name, { value, meter, fill, quiet, shown: "" });
    }
  }

  // `figures`: pairs of name and text.
  set(name, figures, share, note) {
    const tile = this.tiles.get(name);
    const shown = figures.join();
    if (tile.shown !== shown) {
      tile.shown = shown;
      if (tile.value.children.length !== figures.length || !tile.value.firstChild.dataset)
        tile.value.replaceChildren(...figures.map(() => element("span")));
      figures.forEach(([figure, text], place) => {
        const node = tile.value.children[place];
        node.dataset.figure = figure;
        setText(node, text);
      });
    }
    if (share !== undefined && tile.meter) {
      show(tile.meter, share !== null);
      tile.fill(share, figures[0][1]);
    }
    if (note !== undefined) {
      setText(tile.quiet, note);
      tile.quiet.title = note;
    }
  }
}

// Elements of the page. Whatever comes from outside becomes text, never markup.

export const byId = (id) => document.getElementById(id);

// `properties`: attributes, and `text`, `figure`; null leaves one out.
export function element(name, properties = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (key === "text") made.textContent = value;
    else if (key === "figure") made.dataset.figure = value;
    else made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

// Nothing is touched that stays as it is: no layout, and no screen reader that reads it again.
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function setAttribute(node, name, value) {
  if (value === null) node.removeAttribute(name);
  else if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value);
}

export function show(node, shown) {
  if (node.hidden === shown) node.hidden = !shown;
}

// Keeps one child of `parent` for each item, in their order. `make(item)` returns [element, update].
export class List {
  constructor(parent, keyOf, make) {
    this.parent = parent;
    this.keyOf = keyOf;
    this.make = make;
    this.kept = new Map();
  }

  show(items) {
    const focused = this.parent.contains(document.activeElement) ? document.activeElement : null;
    const kept = new Map();
    for (const item of items) {
      const key = this.keyOf(item);
      if (kept.has(key)) continue;
      kept.set(key, this.kept.get(key) ?? this.make(item));
      attempt(() => kept.get(key)[1](item));
    }
    for (const [key, [node]] of this.kept) if (!kept.has(key)) node.remove();
    this.kept = kept;
    let place = this.parent.firstElementChild;
    for (const [node] of kept.values()) {
      if (node === place) place = place.nextElementSibling;
      else this.parent.insertBefore(node, place);
    }
    // What is moved loses the focus.
    if (focused?.isConnected && document.activeElement !== focused) focused.focus({ preventScroll: true });
  }
}

// One part that cannot show what it was given does not keep others from it.
export function attempt(work) {
  try {
    work();
  } catch (error) {
    console.error(error);
  }
}

// A bar for a share of 0 to 1 (null: not known), which screen readers are told by `label`. Where `warns`, much is bad.
export function bar(label, warns = true) {
  const fill = element("span");
  const node = element(
    "span",
    { class: "bar", role: "meter", "aria-label": label, "aria-valuemin": 0, "aria-valuemax": 100 },
    fill,
  );
  return [
    node,
    (share, words) => {
      const percent = Math.round(Math.min(Math.max(share ?? 0, 0), 1) * 1000) / 10;
      fill.style.setProperty("--share", `${percent}%`);
      setAttribute(node, "aria-valuenow", percent);
      setAttribute(node, "aria-valuetext", words);
      setAttribute(
        node,
        "data-level",
        share === null || !warns ? null : percent >= 95 ? "full" : percent >= 80 ? "high" : "fine",
      );
    },
  ];
}

// A figure with its name before it and a bar below. Returned are the element, and what sets text and share (null: no bar).
export function gauge(name, figure, label, warns) {
  const value = element("span", { class: "value small", figure });
  const [meter, fill] = bar(label, warns);
  const head = element("p", { class: "meter-head" }, element("span", { class: "quiet", text: name }), value);
  const set = (text, share) => {
    setText(value, text);
    show(meter, share !== null);
    if (share !== null) fill(share, text);
  };
  return [element("div", { class: "line" }, head, meter), set];
}

// What is long is cut by the layout; the whole of it shows where the mouse rests.
export function named(name, text, properties = {}) {
  return element(name, { ...properties, title: text, text });
}

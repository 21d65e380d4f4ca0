// What is looked at, in the address: it can be shared, and the browser's buttons lead through it.

export const SECTIONS = ["overview", "requests", "models", "routing", "resources"];
export const FILTERS = ["model", "tier", "outcome"];

export function read() {
  const query = new URLSearchParams(location.search);
  const section = SECTIONS.includes(query.get("section")) ? query.get("section") : SECTIONS[0];
  const filters = Object.fromEntries(FILTERS.map((name) => [name, query.get(name) ?? ""]));
  return { section, filters, request: query.get("request") ?? "" };
}

export function write(state, { replace = false } = {}) {
  const query = new URLSearchParams({ section: state.section });
  for (const name of FILTERS) if (state.filters[name]) query.set(name, state.filters[name]);
  if (state.request) query.set("request", state.request);
  const address = `?${query}`;
  if (address !== location.search) history[replace ? "replaceState" : "pushState"](null, "", address);
}

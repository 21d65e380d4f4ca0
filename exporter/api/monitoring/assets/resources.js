// The machine, in nine panels. Where there is no natural limit, bars compare with the most that this page has seen.

import { byId, element, gauge, setText } from "./elements.js";
import * as format from "./format.js";

export class Resources {
  constructor() {
    this.most = {};
    this.panels = Object.fromEntries(
      [
        ["vram", "GPU memory", ["used"], true],
        ["cpu", "CPU", ["busy"], true],
        ["memory", "Memory", ["used"], true],
        ["slots", "Slots", ["busy"]],
        ["connections", "Connections", ["open"]],
        ["disk", "Disk", ["read", "write"]],
        ["network", "Network", ["received", "sent"]],
        ["index", "Vector index", ["size"]],
        ["redis", "Redis", ["memory"]],
      ].map(([name, title, lines, warns]) => [name, this.build(name, title, lines, warns)]),
    );
  }

  build(name, title, lines, warns = false) {
    const note = element("p", { class: "quiet note" });
    const made = lines.map((line) => gauge(line, `resources.${name}.${line}`, `${title}: ${line}`, warns));
    byId("panels").append(
      element("li", { class: "card" }, element("h3", { text: title }), ...made.map(([node]) => node), note),
    );
    return { set: made.map(([, set]) => set), note };
  }

  // Shares of 0 to 1; null: there is no such thing here.
  set(name, place, text, share, note) {
    this.panels[name].set[place](text, share);
    if (note !== undefined) setText(this.panels[name].note, note);
  }

  ofMost(name, place, amount, write) {
    const most = (this.most[`${name}.${place}`] = Math.max(this.most[`${name}.${place}`] ?? 0, amount));
    this.set(name, place, write(amount), most ? amount / most : 0);
    return write(most);
  }

  now(now) {
    this.slots = now.upstreams.reduce((sum, each) => sum + (each.slots ?? 0), 0);
  }

  live({ resources: now }) {
    if (!now) return;
    const { vram, cpu, memory, diskIO: disk, networkThroughput: network, threadPoolStatus: slots } = now;
    const of = (part) => `${format.gibibytes(part.used)} of ${format.gibibytes(part.total)}`;
    this.set(
      "vram",
      0,
      vram.total ? format.percent(vram.percent) : format.UNKNOWN,
      vram.total ? vram.percent / 100 : null,
      vram.total ? of(vram) : "no GPU reports its memory",
    );
    this.set(
      "cpu",
      0,
      format.percent(cpu.percent),
      cpu.percent / 100,
      cpu.cores ? `${format.count(cpu.cores)} logical CPUs` : "",
    );
    this.set("memory", 0, format.percent(memory.percent), memory.percent / 100, of(memory));
    const total = this.slots;
    this.set(
      "slots",
      0,
      total ? `${format.count(slots.active)} of ${format.count(total)}` : format.count(slots.active),
      total ? slots.active / total : null,
      format.waiting(slots.queued),
    );
    const open = this.ofMost("connections", 0, now.activeConnections, format.count);
    setText(this.panels.connections.note, `clients of the proxy, and live streams; at most ${open} seen`);
    const read = this.ofMost("disk", 0, disk.readMBps, format.mebibytesPerSecond);
    const written = this.ofMost("disk", 1, disk.writeMBps, format.mebibytesPerSecond);
    setText(this.panels.disk.note, `at most ${read} and ${written} seen`);
    const received = this.ofMost("network", 0, network.rxMBps, format.mebibytesPerSecond);
    const sent = this.ofMost("network", 1, network.txMBps, format.mebibytesPerSecond);
    setText(this.panels.network.note, `at most ${received} and ${sent} seen`);
    this.sized("index", now.faissIndexSize, "none is configured (sampling.index_paths)");
    this.sized("redis", now.redisCacheSize, "none is configured (sampling.redis_url)");
  }

  sized(name, size, none) {
    const most = this.ofMost(name, 0, size, format.bytes);
    this.set(
      name,
      0,
      size ? format.bytes(size) : format.UNKNOWN,
      size ? size / this.most[`${name}.0`] : null,
      size ? `at most ${most} seen` : none,
    );
  }
}

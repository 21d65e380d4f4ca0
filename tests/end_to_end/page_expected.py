"""What the built-in page is to show, going by the documents of the API: every figure by its name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from tests.end_to_end.page_reader import Expected, Figure

Document = Mapping[str, Any]
STATES = {"ready": "answers", "unreachable": "does not answer", None: "not checked yet"}


class Documents(Protocol):
    """Who has the documents: `PageWorld`, and others."""

    def document(self, path: str) -> Any:
        """One of them."""


def count(value: float | None) -> Expected:
    return (Figure(value),)


def seconds(value: float | None, factor: float = 1.0) -> Expected:
    return (Figure(None if value is None else value * factor, "time"),)


def share(value: float | None, factor: float = 1.0) -> Expected:
    return (Figure(None if value is None else value * factor, "share"),)


def size(value: float | None) -> Expected:
    return (Figure(value or None, "bytes"),)


def throughput(value: float) -> Expected:
    return (Figure(value * 2**20, "bytes/s"),)


def speed(value: float | None) -> Expected:
    return (Figure(value, "tokens/s"),)


def part(some: float | None, all_: float | None) -> Expected:
    return (Figure(some), Figure(all_)) if all_ is not None else (Figure(None),)


def figures(world: Documents) -> dict[str, dict[str, Expected]]:
    """All that have a name, by section."""
    now, live = world.document("/monitoring/now"), "/api/metrics"
    metrics = world.document(f"{live}?envelope=0")["metrics"]
    tiers = world.document(f"{live}/tiers")["tiers"]
    routing, resources = (world.document(f"{live}/{name}") for name in ("routing", "resources"))
    return {
        "overview": dict([*_tiles(metrics), *_lately(now), *_tiers(tiers, now)]),
        "requests": {},
        "models": dict(_upstreams(now["upstreams"])),
        "routing": dict(_routing(routing)),
        "resources": dict(_resources(resources, now["upstreams"])),
    }


def _tiles(metrics: Document) -> Iterable[tuple[str, Expected]]:
    yield "metrics.totalRequests", count(metrics["totalRequests"])
    yield "metrics.avgResponseTime", seconds(metrics["avgResponseTime"], 0.001)
    yield "metrics.activeModels", count(metrics["activeModels"])
    for name in ("cpuUsage", "memoryUsage", "diskUsage", "gpuUsage"):
        yield f"metrics.{name}", share(metrics.get(name), 0.01)
    yield "metrics.uptime", seconds(metrics["uptime"])


def _lately(now: Document) -> Iterable[tuple[str, Expected]]:
    lately, trend = now["figures"], now["trend"]
    yield "figures.requests", count(lately["requests"])
    yield "figures.failed", count(lately["failed"])
    yield "trend.rate", (Figure(trend["requests"][-1] / trend["step_seconds"], "1/s"),)
    for each in ("p50", "p95"):
        yield f"figures.duration_seconds.{each}", seconds(lately["duration_seconds"][each])
        yield f"figures.ttft_seconds.{each}", seconds(lately["ttft_seconds"][each])
        yield f"figures.output_tokens_per_second.{each}", count(lately["output_tokens_per_second"][each])


def _tiers(tiers: Iterable[Document], now: Document) -> Iterable[tuple[str, Expected]]:
    lately = {tier["name"]: tier for tier in now["tiers"]}
    for tier in tiers:
        name = f"tiers.{tier['name']}"
        yield f"{name}.requestCount", count(tier["requestCount"])
        yield f"{name}.errorRate", share(tier["errorRate"])
        yield f"{name}.p95", seconds(lately[tier["name"]]["duration_seconds"]["p95"])
        yield f"{name}.tokensPerSec", speed((tier["tokensPerSec"] or [None])[-1])
        yield f"{name}.latencyMs", seconds((tier["latencyMs"] or [None])[-1], 0.001)


def _upstreams(upstreams: Iterable[Document]) -> Iterable[tuple[str, Expected]]:
    for each in upstreams:
        yield f"upstreams.{each['name']}.state", STATES[each["state"]]
        yield f"upstreams.{each['name']}.slots", part(each["slots_busy"], each["slots"])
        yield f"upstreams.{each['name']}.context", part(each["context_tokens_used"], each["context_tokens"])


def _routing(routing: Document) -> Iterable[tuple[str, Expected]]:
    accuracy = routing["accuracyMetrics"]
    some = accuracy["totalDecisions"] or None
    yield "routing.totalDecisions", count(accuracy["totalDecisions"])
    yield "routing.fallbackRate", share(accuracy["fallbackRate"])
    yield "routing.avgDecisionTimeMs", seconds(accuracy["avgDecisionTimeMs"] if some else None, 0.001)
    for cell in routing["decisionMatrix"]:
        name = f"routing.{cell['complexity']}.{cell['tier']}"
        yield name, count(cell["count"])
        yield f"{name}.score", f"score {cell['avgScore']:.2f}" if cell["count"] else ""
    for tier in routing["modelAvailability"]:
        yield f"availability.{tier['tier']}", part(tier["available"], tier["total"]) if tier["total"] else "none"


def _resources(now: Document, upstreams: Iterable[Document]) -> Iterable[tuple[str, Expected]]:
    yield "resources.vram.used", share(now["vram"]["percent"] if now["vram"]["total"] else None, 0.01)
    yield "resources.cpu.busy", share(now["cpu"]["percent"], 0.01)
    yield "resources.memory.used", share(now["memory"]["percent"], 0.01)
    slots = sum(each["slots"] or 0 for each in upstreams)
    yield "resources.slots.busy", part(now["threadPoolStatus"]["active"], slots)
    yield "resources.connections.open", count(now["activeConnections"])
    for panel, unit, names in (("disk", "diskIO", "read write"), ("network", "networkThroughput", "received sent")):
        keys = ("readMBps", "writeMBps") if panel == "disk" else ("rxMBps", "txMBps")
        for name, key in zip(names.split(), keys, strict=True):
            yield f"resources.{panel}.{name}", throughput(now[unit][key])
    yield "resources.index.size", size(now["faissIndexSize"])
    yield "resources.redis.memory", size(now["redisCacheSize"])


def notes(world: Documents) -> dict[str, Expected]:
    """What stands beneath some figures, by section, heading and place between commas."""
    resources, now = (world.document(path) for path in ("/api/metrics/resources", "/monitoring/now"))
    metrics = world.document("/api/metrics?envelope=0")["metrics"]
    upstreams, queued = now["upstreams"], resources["threadPoolStatus"]["queued"]
    assert queued == sum(each["requests_deferred"] or 0 for each in upstreams)
    expected: dict[str, Expected] = {
        "resources CPU 0": f"{resources['cpu']['cores']} logical CPUs",
        "resources Memory 0": tuple(Figure(resources["memory"][key] * 2**30, "bytes") for key in ("used", "total")),
        "resources Slots 0": f"{queued} request{' waits' if queued == 1 else 's wait'} for a slot",
    }
    if "gpuName" in metrics:
        memory = tuple(Figure(resources["vram"][key] * 2**30, "bytes") for key in ("used", "total"))
        expected |= {"overview GPU 0": metrics["gpuName"], "overview GPU 1": share(metrics["gpuMemoryUsage"], 0.01)}
        expected |= {
            "overview GPU 2": (Figure(metrics["gpuTemperature"], "degrees"),),
            "resources GPU memory 0": memory,
        }
        expected["overview GPU 3"] = (Figure(metrics["gpuPowerUsage"], "watts"),)
    return expected

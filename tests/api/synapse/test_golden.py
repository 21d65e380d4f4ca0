"""The guide's own examples: the same keys in the same order, the same types, and the same figures where real requests
can have them."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import chain, cycle, islice
from typing import Any

import pytest

from exporter.api.documents import encode
from exporter.api.synapse.present import Present
from exporter.record import Complexity, Outcome
from exporter.system.availability import Availability
from exporter.system.snapshot import DiskIO, GpuSnapshot, IndexSnapshot, NetworkIO, RedisSnapshot, Snapshot
from tests.api.synapse.desk import GIB, GOLDEN, MIB, Desk, decision, model, request, seen, server, slot
from tests.api.synapse.strict import CHECKS, check_update, read
from tests.telemetry.examples import HOST


def example(name: str) -> Any:
    return json.loads((GOLDEN / f"{name}.json").read_text())


def form(value: Any) -> Any:
    """Keys in order, and types; of a list, the form of its first member."""
    if isinstance(value, dict):
        return [(key, form(member)) for key, member in value.items()]
    if isinstance(value, list):
        return [form(value[0])] if value else []
    return "number" if type(value) in (int, float) else type(value).__name__


def machine() -> Snapshot:
    """The machine of the example."""
    host = replace(
        HOST,
        cpu_count=16,
        cpu_utilization=0.452,
        memory_total_bytes=32 * GIB,
        memory_used_bytes=int(12.3 * GIB),
        disks=(DiskIO("sda", 0, 0, 0, 0, 15.0 * MIB, 8.7 * MIB), DiskIO("sdb", 0, 0, 0, 0, 0.3 * MIB, None)),
        networks=(NetworkIO("eth0", 0, 0, 0, 0, 0, 0, 2.5 * MIB, 1.8 * MIB),),
    )
    gpu = GpuSnapshot(id="0", index=0, name="", vendor="nvidia", memory_total_bytes=12 * GIB, memory_used_bytes=4 * GIB)
    busy = model(slots=tuple(slot(number, busy=number < 3) for number in range(4)), requests_deferred=2)
    return seen(
        server("Q2", busy),
        server("Q3", model(requests_processing=1)),
        host=host,
        gpus=(gpu, replace(gpu, id="1", memory_used_bytes=int(4.5 * GIB))),
        index=IndexSnapshot(524_288_000),
        redis=RedisSnapshot(104_857_600),
    )


def routed(desk: Desk) -> None:
    """The decisions of the example, and 770 more that went to a tier that is not configured."""
    cells = [
        *[(Complexity.SIMPLE, "Q2", 1.8)] * 850,
        *[(Complexity.MODERATE, "Q3", 5.2)] * 450,
        *[(Complexity.COMPLEX, "Q4", 8.7)] * 180,
        *[(Complexity.COMPLEX, "Q8", 9.0)] * 770,
    ]
    for number, (complexity, tier, score) in enumerate(cells):
        desk.live.record_decision(
            tier, decision(complexity, tier, score=score, seconds=0.0125, fallback=number % 100 in (7, 50, 93))
        )
    for tier, models in (("Q2", 3), ("Q3", 2), ("Q4", 1)):
        desk.live.recorded_availability.record(tier, Availability(models, models))


def queried(desk: Desk) -> None:
    """The queries of the example: its first three rates, the others long before."""
    tiers = chain(["Q2"] * 300, ["Q3"] * 100, ["Q4"] * 50)
    latencies = cycle((2.3, 2.401))
    for count, seconds in ((425, 150.0), (5, 10.0), (8, 10.0), (12, 160.0)):
        for tier in islice(tiers, count):
            desk.serve(tier=tier, duration_seconds=next(latencies))
        desk.clock.now += seconds


async def test_resources() -> None:
    desk = Desk(snapshot=machine(), connections=lambda: 5)
    document, wanted = await desk.read("resources"), example("resources")
    assert document == wanted
    assert form(document) == form(wanted)


async def test_queries() -> None:
    desk = Desk()
    queried(desk)
    document, wanted = await desk.read("queries"), example("queries")
    rates = wanted.pop("queryRate")
    assert document["queryRate"] == [*rates, *[0.0] * 15]
    assert document["timestamps"][:2] == ["2026-11-20T08:35:00Z", "2026-11-20T08:35:10Z"]
    assert document["timestamps"][-1] == "2026-11-20T08:37:50Z"
    assert form(document) == form(example("queries"))
    for key in ("totalQueries", "avgLatencyMs", "tierDistribution"):
        assert document[key] == wanted[key]


async def test_routing() -> None:
    desk = Desk()
    routed(desk)
    document, wanted = await desk.read("routing"), example("routing")
    happened = [cell for cell in document["decisionMatrix"] if cell["count"]]
    assert happened == wanted["decisionMatrix"]
    assert document["accuracyMetrics"] == wanted["accuracyMetrics"]
    assert document["modelAvailability"] == wanted["modelAvailability"]
    assert form(document) == form(wanted)
    assert len(document["decisionMatrix"]) == 9


async def test_tiers() -> None:
    """Its counts and error rates cannot both be true: 5 errors of 680 are 0.007, 6 are 0.009."""
    desk = Desk()
    wanted = example("tiers")
    for tier in wanted["tiers"]:
        samples = list(zip(tier["tokensPerSec"], tier["latencyMs"], strict=True))
        failures = round(tier["requestCount"] * tier["errorRate"])
        for number in range(tier["requestCount"]):
            speed, latency = samples[number % 3]
            outcome = Outcome.UPSTREAM_ERROR if number < failures else Outcome.COMPLETED
            desk.live.record(
                request(
                    tier=tier["name"],
                    duration_seconds=latency / 1000,
                    output_tokens_per_second=speed,
                    outcome=outcome,
                )
            )
    document = await desk.read("tiers")
    assert form(document) == form(wanted)
    for tier, theirs in zip(document["tiers"], wanted["tiers"], strict=True):
        assert (tier["name"], tier["requestCount"]) == (theirs["name"], theirs["requestCount"])
        assert tier["errorRate"] == pytest.approx(theirs["errorRate"], abs=0.001)
        for key in ("tokensPerSec", "latencyMs"):
            assert len(tier[key]) == 20
            assert set(tier[key]) == set(theirs[key])


async def test_update() -> None:
    desk = Desk(snapshot=machine(), connections=lambda: 5)
    routed(desk)
    queried(desk)
    document = read(encode(Present(desk.views).update()))
    assert form(document) == form(example("update"))
    assert document["type"] == "metrics_update"
    check_update(document)


async def test_what_is_empty_is_complete() -> None:
    """A page that opens before anything has happened draws zeros."""
    desk = Desk()
    for name, check in CHECKS.items():
        check(await desk.read(name))

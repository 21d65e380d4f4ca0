"""Whatever was served, recorded and sampled: every document stays one that the pages can draw."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.api.documents import encode
from exporter.api.synapse.present import Present
from exporter.api.views import UpstreamView
from exporter.record import Complexity, Outcome
from exporter.system.availability import Availability
from exporter.system.snapshot import (
    DiskIO,
    GpuSnapshot,
    HostSnapshot,
    IndexSnapshot,
    LlamaServerSnapshot,
    ModelSnapshot,
    ModelState,
    NetworkIO,
    ServerState,
    SlotSnapshot,
    Snapshot,
)
from tests.api.synapse.desk import Desk, request
from tests.api.synapse.strict import CHECKS, check_error, check_recorded, check_update, read
from tests.telemetry.examples import HOST

TIERS = st.sampled_from(["Q2", "Q3", "Q4", "Q8", "unknown"])
UPSTREAMS = ("one", "two", "three")
SIZES = st.none() | st.integers(0, 1 << 60)
COUNTS = st.none() | st.integers(0, 1 << 40)
RATES = st.none() | st.floats(0, 1e18)
ANY_NUMBER = st.floats() | st.integers()

slots = st.builds(SlotSnapshot, st.integers(0, 9), st.booleans(), COUNTS, COUNTS)
models = st.builds(
    ModelSnapshot,
    id=st.text(min_size=1, max_size=5),
    state=st.sampled_from(ModelState),
    size_bytes=SIZES,
    context_size=COUNTS,
    slots=st.lists(slots, max_size=3).map(tuple),
    total_slots=COUNTS,
    requests_processing=COUNTS,
    requests_deferred=COUNTS,
    tier=TIERS,
)
servers = st.builds(
    LlamaServerSnapshot,
    upstream=st.sampled_from(UPSTREAMS),
    tiers=st.lists(TIERS, min_size=1, max_size=3).map(tuple),
    state=st.sampled_from(ServerState),
    router=st.booleans(),
    models=st.lists(models, max_size=3).map(tuple),
)
gpus = st.builds(
    GpuSnapshot,
    id=st.just("0"),
    index=st.just(0),
    name=st.just(""),
    vendor=st.just("amd"),
    memory_total_bytes=SIZES,
    memory_used_bytes=SIZES,
)


@st.composite
def hosts(draw: st.DrawFn) -> HostSnapshot:
    total = draw(st.integers(0, 1 << 50))
    return replace(
        HOST,
        cpu_utilization=draw(st.none() | st.floats(0, 1)),
        memory_total_bytes=total,
        memory_used_bytes=draw(st.integers(0, total)),
        disks=(DiskIO("a", 0, 0, 0, 0, draw(RATES), draw(RATES)),),
        networks=(NetworkIO("b", 0, 0, 0, 0, 0, 0, draw(RATES), draw(RATES)),),
    )


@st.composite
def snapshots(draw: st.DrawFn) -> Snapshot:
    found = draw(st.lists(servers, max_size=3))
    return Snapshot(
        host=draw(st.none() | hosts()),
        gpus=tuple(draw(st.lists(gpus, max_size=2))),
        servers={server.upstream: server for server in found},
    )


@st.composite
def served(draw: st.DrawFn) -> Any:
    tokens = st.none() | st.integers(0, 1 << 40)
    return request(
        tier=draw(TIERS),
        upstream=draw(st.none() | st.sampled_from(UPSTREAMS)),
        served_model=draw(st.none() | st.text(max_size=3)),
        duration_seconds=draw(st.floats(0, 1e9)),
        outcome=draw(st.sampled_from(Outcome)),
        inference=draw(st.booleans()),
        input_tokens=draw(tokens),
        cached_tokens=draw(tokens),
        output_tokens=draw(tokens),
        output_tokens_per_second=draw(st.none() | st.floats(0, allow_nan=False)),
    )


def check_everything(desk: Desk) -> None:
    present = Present(desk.views)
    makers: dict[str, Any] = {
        "queries": present.queries,
        "tiers": present.tiers,
        "resources": present.resources,
        "routing": present.routing,
        "historical": present.historical,
        "context": present.context_utilization,
        "models": present.models_status,
        "orchestrator": present.orchestrator_status,
    }
    for name, check in CHECKS.items():
        check(read(encode(makers[name]())))
    check_update(read(encode(present.update())))


@given(
    records=st.lists(served(), max_size=30),
    pauses=st.lists(st.floats(0, 2000), max_size=30),
    snapshot=snapshots(),
    known=st.dictionaries(TIERS, st.builds(Availability, st.none() | st.integers(-1, 5), st.integers(-1, 4))),
    figures=st.tuples(st.integers(-1, 1 << 60), st.integers(-1, 1 << 20)),
    sampled=st.booleans(),
)
@settings(deadline=None)
def test_whatever_there_is(
    records: list[Any],
    pauses: list[float],
    snapshot: Snapshot,
    known: dict[str, Availability],
    figures: tuple[int, int],
    sampled: bool,
) -> None:
    desk = Desk(
        snapshot=replace(snapshot, index=IndexSnapshot(figures[0])),
        availability=lambda: known,
        connections=lambda: figures[1],
        servers_sampled=sampled,
        upstreams=tuple(UpstreamView(name, "llama_cpp", None, 8080) for name in UPSTREAMS),
    )
    for number, record in enumerate(records):
        desk.live.record(record)
        desk.clock.now += pauses[number] if number < len(pauses) else 0
    for upstream, record in zip(UPSTREAMS, records, strict=False):
        desk.begin(upstream, record.served_model, record.tier)
    check_everything(desk)


ANYTHING = st.none() | st.booleans() | ANY_NUMBER | st.text(max_size=70)
TOLD: dict[str, dict[str, Any]] = {
    "query": {
        "tier": TIERS,
        "latency_ms": st.floats(0, 86_400_000),
        "tokens_generated": st.integers(0, 10_000_000),
        "generation_time_ms": st.floats(0, 86_400_000),
        "is_error": st.booleans(),
    },
    "routing": {
        "complexity": st.sampled_from([each.value for each in Complexity]),
        "tier": TIERS,
        "score": st.floats(0, 1000),
        "decision_time_ms": st.floats(0, 86_400_000),
        "is_fallback": st.booleans(),
    },
    "availability": {"tier": TIERS, "available": st.integers(0, 5), "total": st.integers(5, 10_000)},
}


async def tell_all(desk: Desk, told: list[tuple[str, dict[str, Any]]]) -> list[int]:
    statuses = []
    for kind, body in told:
        answer = await desk.ask("POST", f"/api/metrics/record/{kind}", content=json.dumps(body).encode())
        (check_recorded if answer.status_code == 202 else check_error)(read(answer.content))
        statuses.append(answer.status_code)
    return statuses


def bodies(fields: Any) -> Any:
    return st.sampled_from(sorted(TOLD)).flatmap(lambda kind: st.tuples(st.just(kind), fields(TOLD[kind])))


@given(st.lists(bodies(st.fixed_dictionaries), max_size=10))
@settings(deadline=None)
def test_whatever_is_told(told: list[tuple[str, dict[str, Any]]]) -> None:
    """All that is as documented is taken."""
    desk = Desk()
    assert set(asyncio.run(tell_all(desk, told))) <= {202}
    kinds = [kind for kind, _ in told]
    assert len(desk.intake.records) == kinds.count("query")
    assert desk.live.decisions.total == len(desk.intake.decisions) == kinds.count("routing")
    check_everything(desk)


def spoilt(fields: dict[str, Any]) -> Any:
    """Some fields missing, some of any kind, some unknown."""
    mixed = {key: good | ANYTHING for key, good in fields.items()}
    return st.fixed_dictionaries({}, optional={**mixed, "other": ANYTHING})


@given(st.lists(bodies(spoilt), max_size=10))
@settings(deadline=None)
def test_whatever_is_told_badly(told: list[tuple[str, dict[str, Any]]]) -> None:
    """It is taken or refused, and does no harm."""
    desk = Desk()
    statuses = asyncio.run(tell_all(desk, told))
    assert set(statuses) <= {202, 400}
    assert len(desk.intake.records) + len(desk.intake.decisions) <= statuses.count(202)
    check_everything(desk)

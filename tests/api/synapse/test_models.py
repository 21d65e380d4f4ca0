"""Which models there are, in which state, and what is known of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from exporter.api.views import UpstreamView
from exporter.record import Outcome
from exporter.system.snapshot import (
    GpuSnapshot,
    LlamaServerSnapshot,
    ModelSnapshot,
    ModelState,
    ServerState,
    Snapshot,
)
from tests.api.synapse.desk import GIB, MIB, Desk, model, seen, server, slot
from tests.telemetry.examples import HOST

ONE = (UpstreamView("gpu", "llama_cpp", "Q4", 8084),)
UPTIME = 90_061
"""Of the views' sidecar: a day, an hour, a minute and a second."""


async def only(desk: Desk) -> Any:
    (entry,) = (await desk.read("models"))["models"]
    return entry


def desk_of(*servers: LlamaServerSnapshot, **fields: Any) -> Desk:
    return Desk(upstreams=ONE, snapshot=seen(*servers), **fields)


async def test_a_model_that_serves() -> None:
    desk = desk_of(server("gpu", model("tiny", "Q3", size_bytes=3 * GIB)))
    desk.snapshot = replace(desk.snapshot, host=HOST)
    for seconds, outcome in ((1.0, Outcome.COMPLETED), (2.0, Outcome.UPSTREAM_ERROR)):
        desk.serve(
            upstream="gpu",
            served_model="tiny",
            duration_seconds=seconds,
            outcome=outcome,
            started_at=desk.clock.wall(),
            output_tokens_per_second=10 * seconds,
        )
    assert await desk.read("models") == {
        "models": [
            {
                "id": "gpu",
                "name": "tiny",
                "tier": "Q3",
                "port": 8084,
                "state": "active",
                "memoryUsed": 3072,
                "memoryTotal": 15258,
                "requestCount": 2,
                "avgResponseTime": 1500.0,
                "lastActive": "2026-11-20T08:32:32.000Z",
                "errorCount": 1,
                "uptimeSeconds": UPTIME,
            }
        ],
        "totalVramGb": 0.0,
        "totalVramUsedGb": 0.0,
        "cacheHitRate": 0.4,
        "activeQueries": 0,
        "totalRequests": 2,
        "timestamp": "2026-11-20T08:32:30.000Z",
        "metrics": [
            {
                "modelId": "gpu",
                "tokensPerSecond": [10.0, 20.0],
                "currentTokensPerSecond": 20.0,
                "memoryGb": [3.0],
                "currentMemoryGb": 3.0,
                "latencyMs": [1000.0, 2000.0],
                "currentLatencyMs": 2000.0,
            }
        ],
        "metricsTimestamp": "2026-11-20T08:32:30.000Z",
    }


async def test_a_model_that_has_done_nothing() -> None:
    document = await desk_of(server("gpu", model())).read("models")
    (entry,), (metrics,) = document["models"], document["metrics"]
    assert entry["state"] == "idle"
    assert entry["lastActive"] == "2026-11-19T07:31:29.000Z"  # the start of the sidecar
    assert entry["memoryUsed"] == 0
    assert entry["memoryTotal"] == 1
    assert metrics == {
        "modelId": "gpu",
        "tokensPerSecond": [],
        "currentTokensPerSecond": 0.0,
        "memoryGb": [],
        "currentMemoryGb": 0.0,
        "latencyMs": [],
        "currentLatencyMs": 0.0,
    }


@pytest.mark.parametrize(
    ("described", "state", "uptime"),
    [
        (server("gpu", model()), "idle", UPTIME),
        (server("gpu", model(state=ModelState.SLEEPING)), "idle", UPTIME),
        (server("gpu", model(state=ModelState.LOADING)), "processing", UPTIME),
        (server("gpu", model(state=ModelState.DOWNLOADING)), "processing", UPTIME),
        (server("gpu", model(state=ModelState.UNLOADED)), "offline", 0),
        (server("gpu", model(state=ModelState.FAILED)), "error", 0),
        (server("gpu", model(slots=(slot(0, busy=True),))), "processing", UPTIME),
        (server("gpu", model(requests_processing=1), state=ServerState.BUSY), "processing", UPTIME),
        (server("gpu", model(), state=ServerState.LOADING), "processing", UPTIME),
        (server("gpu", state=ServerState.UNREACHABLE, tiers=("Q4",)), "offline", 0),
        (server("gpu", state=ServerState.ERROR, tiers=("Q4",)), "error", 0),
        (server("gpu", router=True, tiers=("Q4",)), "idle", UPTIME),
    ],
)
async def test_states_of_models_that_have_not_served(described: LlamaServerSnapshot, state: str, uptime: int) -> None:
    entry = await only(desk_of(described))
    assert (entry["state"], entry["uptimeSeconds"]) == (state, uptime)


@pytest.mark.parametrize(
    ("described", "state"),
    [
        (server("gpu", model()), "active"),
        (server("gpu", model(state=ModelState.SLEEPING)), "idle"),
        (server("gpu", state=ServerState.UNREACHABLE), "offline"),
        (server("gpu", model(state=ModelState.UNLOADED)), "offline"),
    ],
)
async def test_states_of_models_that_have_served(described: LlamaServerSnapshot, state: str) -> None:
    desk = desk_of(described)
    desk.serve(upstream="gpu", served_model="tiny")
    entry = await only(desk)
    assert (entry["state"], entry["requestCount"]) == (state, 1)


async def test_a_request_in_flight() -> None:
    desk = desk_of(server("gpu", model("a"), model("b"), model("c", state=ModelState.SLEEPING)))
    desk.begin("gpu", "b")
    desk.begin("gpu", "c")  # it is being woken
    desk.begin("gpu", "a").inference = False
    document = await desk.read("models")
    assert [(each["id"], each["state"]) for each in document["models"]] == [
        ("gpu/a", "idle"),
        ("gpu/b", "processing"),
        ("gpu/c", "processing"),
    ]
    assert document["activeQueries"] == 2


async def test_a_server_with_one_model_answers_to_any_name() -> None:
    desk = desk_of(server("gpu", model("tiny")))
    desk.begin("gpu")
    assert (await only(desk))["state"] == "processing"


async def test_models_of_a_router_are_told_apart() -> None:
    desk = desk_of(server("gpu", model("a", "Q2"), model("b", "Q4"), router=True))
    desk.serve(upstream="gpu", served_model="a", duration_seconds=1.0)
    desk.serve(upstream="gpu", served_model="a", duration_seconds=2.0)
    desk.serve(upstream="gpu", served_model=None)
    document = await desk.read("models")
    seen_ = [(each["id"], each["name"], each["tier"], each["requestCount"]) for each in document["models"]]
    assert seen_ == [("gpu/a", "a", "Q2", 2), ("gpu/b", "b", "Q4", 0)]
    assert [each["latencyMs"] for each in document["metrics"]] == [[1000.0, 2000.0], []]


async def test_a_single_model_has_done_what_was_done_before_it_was_known() -> None:
    desk = desk_of(server("gpu", model("tiny")))
    desk.serve(upstream="gpu", served_model=None, duration_seconds=1.0)
    desk.serve(upstream="gpu", served_model="tiny", duration_seconds=2.0)
    document = await desk.read("models")
    assert document["models"][0]["requestCount"] == 2
    assert document["metrics"][0]["latencyMs"] == [1000.0, 2000.0]
    for _ in range(19):
        desk.serve(upstream="gpu", served_model="tiny", duration_seconds=3.0, output_tokens_per_second=7.0)
    (metrics,) = (await desk.read("models"))["metrics"]
    assert metrics["latencyMs"] == [2000.0, *[3000.0] * 19]
    assert metrics["tokensPerSecond"] == [8.5, *[7.0] * 19]


async def test_a_server_that_is_gone_keeps_its_counts() -> None:
    desk = desk_of(server("gpu", model("tiny", size_bytes=GIB)))
    for _ in range(25):
        desk.serve(upstream="gpu", served_model="tiny")
    before = await only(desk)
    desk.snapshot = seen(server("gpu", state=ServerState.UNREACHABLE, tiers=("Q2",)))
    after = await only(desk)
    changed = {key for key in before if before[key] != after[key]}
    assert changed == {"name", "state", "memoryUsed", "memoryTotal", "uptimeSeconds"}
    assert after["name"] == "gpu"
    assert (after["id"], after["requestCount"], after["memoryUsed"]) == ("gpu", 25, 0)


async def test_a_model_that_is_listed_twice_is_one() -> None:
    document = await desk_of(server("gpu", model("a"), model("a"))).read("models")
    assert [each["id"] for each in document["models"]] == ["gpu/a"]
    assert [each["modelId"] for each in document["metrics"]] == ["gpu/a"]


@pytest.mark.parametrize(
    ("sampled", "served", "state"), [(True, 1, "offline"), (False, 0, "idle"), (False, 1, "active")]
)
async def test_an_upstream_that_nobody_has_looked_at(sampled: bool, served: int, state: str) -> None:
    desk = Desk(upstreams=(*ONE, UpstreamView("other", "llama_cpp", None, 1)), servers_sampled=sampled)
    for _ in range(served):
        desk.serve(upstream="gpu")
    entry, other = (await desk.read("models"))["models"]
    assert (entry["id"], entry["name"], entry["tier"], entry["state"]) == ("gpu", "gpu", "Q4", state)
    assert other["tier"] == "unknown"


def gpu(used: int | None, total: int | None) -> GpuSnapshot:
    return GpuSnapshot(id="", index=0, name="", vendor="amd", memory_used_bytes=used, memory_total_bytes=total)


@pytest.mark.parametrize(
    ("snapshot", "total_mib", "vram"),
    [
        (Snapshot(gpus=(gpu(GIB, 8 * GIB), gpu(2 * GIB, 16 * GIB)), host=HOST), 24 * 1024, (24.0, 3.0)),
        (Snapshot(gpus=(gpu(None, 8 * GIB),), host=replace(HOST, memory_total_bytes=64 * MIB)), 64, (0.0, 0.0)),
        (Snapshot(), 1, (0.0, 0.0)),
    ],
)
async def test_memory(snapshot: Snapshot, total_mib: int, vram: tuple[float, float]) -> None:
    desk = Desk(upstreams=ONE, snapshot=snapshot)
    document = await desk.read("models")
    assert document["models"][0]["memoryTotal"] == total_mib
    assert (document["totalVramGb"], document["totalVramUsedGb"]) == vram


@pytest.mark.parametrize("state", [state for state in ModelState if state is not ModelState.LOADED])
async def test_what_is_not_loaded_takes_no_memory(state: ModelState) -> None:
    big: ModelSnapshot = model(size_bytes=GIB, state=state)
    document = await desk_of(server("gpu", big)).read("models")
    assert document["models"][0]["memoryUsed"] == 0
    assert document["metrics"][0]["memoryGb"] == []


async def test_the_document_changes_with_every_poll() -> None:
    """Pages draw a point of their health lines only when it does."""
    desk = desk_of(server("gpu", model()))
    before = await desk.read("models")
    desk.clock.now += 5
    after = await desk.read("models")
    assert before["timestamp"] != after["timestamp"]
    assert before["metricsTimestamp"] != after["metricsTimestamp"]

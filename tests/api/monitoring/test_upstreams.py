"""The llama-servers, one by one, as they were sampled last."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.api.monitoring.documents import Upstream
from exporter.api.monitoring.upstreams import upstreams
from exporter.system.snapshot import (
    CollectorStatus,
    LlamaServerSnapshot,
    ModelSnapshot,
    ModelState,
    ServerState,
    SlotSnapshot,
    Snapshot,
)
from tests.api.monitoring.documents import read
from tests.api.views import NOW, WALL, make_views


def server(**fields: Any) -> LlamaServerSnapshot:
    slots = (SlotSnapshot(0, True, 4096, 100), SlotSnapshot(1, False, 4096, 900), SlotSnapshot(2, True, None, 50))
    models = (
        ModelSnapshot("a", ModelState.LOADED, slots=slots, context_size=2048, requests_deferred=3),
        ModelSnapshot("b", ModelState.SLEEPING, context_size=4096, total_slots=2),
        ModelSnapshot("c", ModelState.UNLOADED),
    )
    values: dict[str, Any] = {"tiers": ("Q4", "Q8"), "state": ServerState.READY, "router": True, "models": models}
    return LlamaServerSnapshot("Q3", **(values | fields))


def upstream(snapshot: Snapshot, **fields: Any) -> Any:
    """The second of three."""
    found = read(list[Upstream], upstreams(make_views(snapshot=lambda: snapshot, **fields)))
    assert [each["name"] for each in found] == ["Q2", "Q3", "Q4"]
    return found[1]


def test_a_llama_server() -> None:
    status = CollectorStatus("llama_server:Q3", success=False, duration_seconds=9.0, sampled_at=NOW - 7.5)
    snapshot = Snapshot(servers={"Q3": server()}, collectors={status.name: status})
    assert upstream(snapshot, since=lambda: {"Q3": WALL - 60}) == {
        "name": "Q3",
        "tiers": ["Q4", "Q8"],
        "up": True,
        "state": "ready",
        "since": "2026-11-20T08:31:30.000Z",
        "reason": None,
        "sampled_at": "2026-11-20T08:32:22.500Z",
        "router": True,
        "models": 3,
        "models_loaded": 2,
        "slots": 5,
        "slots_busy": 2,
        "requests_deferred": 3,
        "context_tokens": 4096 + 4096 + 2048,
        "context_tokens_used": 150,
    }


def test_one_that_is_down_has_no_figures() -> None:
    snapshot = Snapshot(servers={"Q3": server(state=ServerState.UNREACHABLE, error="connection refused")})
    found = upstream(snapshot, since=lambda: {"Q3": WALL})
    assert (found["up"], found["state"], found["reason"]) == (False, "unreachable", "connection refused")
    assert found["since"] == "2026-11-20T08:32:30.000Z"
    figures = ("slots", "slots_busy", "requests_deferred", "context_tokens", "context_tokens_used")
    assert [found[each] for each in (*figures, "models_loaded")] == [None] * 5 + [0]


def test_one_that_nobody_has_looked_at() -> None:
    found = upstream(Snapshot())
    unknown = ("up", "state", "since", "reason", "sampled_at", "slots", "context_tokens")
    assert [found[each] for each in unknown] == [None] * 7
    assert (found["tiers"], found["router"], found["models"]) == (["Q3"], False, 0)


def test_nothing_has_been_so_for_less_than_no_time() -> None:
    """A wall clock that was set back."""
    found = upstream(Snapshot(servers={"Q3": server()}), since=lambda: {"Q3": WALL + 3600})
    assert found["since"] == "2026-11-20T08:32:30.000Z"


MODELS = st.builds(
    ModelSnapshot,
    st.text(),
    st.sampled_from(ModelState),
    slots=st.lists(
        st.builds(
            SlotSnapshot, st.integers(0, 9), st.booleans(), st.none() | st.integers(0), st.none() | st.integers(0)
        )
    ).map(tuple),
    context_size=st.none() | st.integers(0),
    total_slots=st.none() | st.integers(0),
    requests_processing=st.none() | st.integers(0),
    requests_deferred=st.none() | st.integers(0),
)
SERVERS = st.builds(
    replace,
    st.just(server()),
    state=st.sampled_from(ServerState),
    router=st.booleans(),
    models=st.lists(MODELS, max_size=4).map(tuple),
    error=st.none() | st.text(),
)


@settings(deadline=None)
@given(SERVERS, st.none() | st.floats(-1e6, 1e6))
def test_whatever_was_seen_can_be_read(server: LlamaServerSnapshot, sampled_at: float | None) -> None:
    status = CollectorStatus("llama_server:Q3", success=True, duration_seconds=1.0, sampled_at=sampled_at)
    found = upstream(Snapshot(servers={"Q3": server}, collectors={status.name: status}))
    assert found["models_loaded"] <= found["models"]
    assert (found["context_tokens_used"] or 0) <= (found["context_tokens"] or 0)

"""Views for the rooms' tests: empty read-models, and whatever a test puts in their place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from exporter.api.views import UpstreamView, Views
from exporter.live.active import ActiveRequests
from exporter.live.feed import Live
from exporter.record import RequestRecord
from exporter.system.availability import Availability
from exporter.system.snapshot import Snapshot

NOW = 1_000.0
WALL = 1_795_163_550.0
"""2026-11-20T08:32:30Z; 1,000 s on the monotonic clock."""

UPSTREAMS = (
    UpstreamView("Q2", "llama_cpp", "Q2", 8082),
    UpstreamView("Q3", "llama_cpp", "Q3", 8083),
    UpstreamView("Q4", "llama_cpp", "Q4", 8084),
)


class Clock:
    """Both clocks, which tests set forward together."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now

    def wall(self) -> float:
        return self.now - NOW + WALL


def model_of(record: RequestRecord) -> str:
    return record.requested_model or record.response_model or "unknown"


def make_live(clock: Clock | None = None) -> Live:
    clock = clock or Clock()
    return Live(model_of, clock=clock, wall=clock.wall)


def make_views(live: Live | None = None, clock: Clock | None = None, **fields: Any) -> Views:
    clock = clock or Clock()
    live = live or make_live(clock)
    no_models: Mapping[str, Availability] = {}
    values: dict[str, Any] = {
        "version": "1.2.3",
        "instance": "host:8001",
        "upstreams": UPSTREAMS,
        "tiers": ("Q2", "Q3", "Q4"),
        "recording": True,
        "servers_sampled": True,
        "started": NOW - 90_061.0,
        "snapshot": Snapshot,
        "active": ActiveRequests(),
        "windows": live.windows,
        "history": live.history,
        "totals": live.totals,
        "decisions": live.decisions,
        "availability": lambda: no_models,
        "since": dict,
        "only_model": lambda _: None,
        "connections": lambda: 0,
        "clock": clock,
        "wall": clock.wall,
    }
    return Views(**(values | fields))

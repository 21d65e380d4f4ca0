"""The room over read-models that a test fills, behind the admin application; and what a test needs to fill them."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
from starlette.applications import Starlette

from exporter.api import admin, synapse
from exporter.api.room import Room
from exporter.keys import KeyRing
from exporter.live.active import ActiveRequests
from exporter.live.feed import Live
from exporter.observe.observation import Look, Observation
from exporter.record import Complexity, Decision, RequestRecord, RoutingReason
from exporter.system.availability import Availability, count_models
from exporter.system.snapshot import (
    LlamaServerSnapshot,
    ModelSnapshot,
    ModelState,
    ServerState,
    SlotSnapshot,
    Snapshot,
)
from tests.api.views import Clock, make_live, make_views
from tests.telemetry import examples

GOLDEN = Path(__file__).parents[2] / "golden" / "synapse"
GIB = 1024**3
MIB = 1024**2

READS = {
    "queries": "/api/metrics/queries",
    "tiers": "/api/metrics/tiers",
    "resources": "/api/metrics/resources",
    "routing": "/api/metrics/routing",
    "historical": "/api/metrics/historical",
    "context": "/api/metrics/context-utilization",
    "models": "/api/models/status",
    "orchestrator": "/api/orchestrator/status",
}
"""Every document that is read, and where."""


class RealClock(Clock):
    """The machine's own clocks, for tests with a server."""

    def __call__(self) -> float:
        return time.monotonic()

    def wall(self) -> float:
        return time.time()


class LiveIntake:
    """Where what was recorded goes, without Prometheus."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self.records: list[RequestRecord] = []
        self.decisions: list[tuple[str, Decision]] = []

    def record(self, record: RequestRecord) -> None:
        self.records.append(record)
        self._live.record(record)

    def decide(self, tier: str, decision: Decision) -> None:
        self.decisions.append((tier, decision))
        self._live.record_decision(tier, decision)

    def set_availability(self, tier: str, availability: Availability) -> None:
        self._live.recorded_availability.record(tier, availability)


class Desk:
    """One room, and everything behind it."""

    def __init__(
        self,
        *,
        max_readers: int = 10,
        keys: Sequence[str] = (),
        origins: Sequence[str] = ("*",),
        **views: Any,
    ) -> None:
        self.clock: Clock = views.pop("clock", None) or Clock()
        self.live = make_live(self.clock)
        self.intake = LiveIntake(self.live)
        self.snapshot = views.pop("snapshot", Snapshot())
        self.configured: dict[str, int] = {}
        self.active = ActiveRequests()
        fields: dict[str, Any] = {"snapshot": lambda: self.snapshot, "availability": self.availability}
        self.views = make_views(self.live, self.clock, **{"active": self.active, **fields, **views})
        self.room: Room = synapse.room(self.views, intake=self.intake, max_readers=max_readers)
        self.app: Starlette = admin.application([self.room], KeyRing(keys), origins)

    def availability(self) -> Mapping[str, Availability]:
        servers = tuple(self.snapshot.servers.values())
        return count_models(servers, self.configured, (), self.live.recorded_availability.tiers())

    def serve(self, **changes: Any) -> None:
        """A request has finished just now."""
        self.live.record(request(**changes))

    def begin(self, upstream: str, model: str | None = None, tier: str = "Q4") -> Observation:
        """A request is in flight."""
        observation = Observation(
            now=self.clock(),
            wall=self.clock.wall(),
            request_id="1",
            method="POST",
            path="/v1/chat/completions",
            query=b"",
            headers=(),
            look=Look(),
        )
        observation.route(upstream=upstream, provider="llama_cpp", tier=tier, model=model)
        self.active.start(observation)
        return observation

    async def ask(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None, **body: Any
    ) -> httpx.Response:
        """Over HTTP, without a server."""
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://admin") as client:
            return await client.request(method, path, headers=headers, **body)

    async def read(self, name: str) -> Any:
        """One document."""
        answer = await self.ask("GET", READS[name])
        assert answer.status_code == 200
        return answer.json()

    async def tell(self, kind: str, **told: Any) -> httpx.Response:
        """Record something."""
        return await self.ask("POST", f"/api/metrics/record/{kind}", json=told)


def request(**changes: Any) -> RequestRecord:
    """A chat without a decision."""
    return examples.record(**{"decision": None, "tier": "Q2", "upstream": "Q2", "served_model": "tiny", **changes})


def decision(complexity: Complexity, tier: str, **changes: Any) -> Decision:
    return Decision(RoutingReason.COMPLEXITY, complexity, 1.0, tier, False, 0.0)._replace(**changes)


def model(name: str = "tiny", tier: str = "Q2", **fields: Any) -> ModelSnapshot:
    return ModelSnapshot(id=name, tier=tier, **{"state": ModelState.LOADED, **fields})


def server(upstream: str, *models: ModelSnapshot, **fields: Any) -> LlamaServerSnapshot:
    tiers = tuple(dict.fromkeys(each.tier for each in models)) or ("unknown",)
    values: dict[str, Any] = {"state": ServerState.READY, "tiers": tiers, "models": models}
    return LlamaServerSnapshot(upstream=upstream, **(values | fields))


def slot(number: int, *, busy: bool, used: int | None = None, size: int | None = 4096) -> SlotSnapshot:
    return SlotSnapshot(number, busy, size, used)


def seen(*servers: LlamaServerSnapshot, **fields: Any) -> Snapshot:
    return Snapshot(servers={each.upstream: each for each in servers}, **fields)

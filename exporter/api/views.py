"""The frozen bundle of read-models that a room receives: everything it may know, nothing it could change."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from exporter.live.active import ActiveRequests
from exporter.live.decisions import Decisions
from exporter.live.history import History
from exporter.live.totals import Totals
from exporter.live.windows import Windows
from exporter.store.figures import Past
from exporter.system.availability import Availability
from exporter.system.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class UpstreamView:
    """One llama-server as it was configured, without what nobody else should see."""

    name: str
    provider: str
    tier: str | None
    port: int


@dataclass(frozen=True, slots=True)
class Views:
    """What the rooms read."""

    version: str
    instance: str
    """This sidecar, as the store's rows name it."""
    upstreams: tuple[UpstreamView, ...]
    """In configured order."""
    tiers: tuple[str, ...]
    """As configured, from cheap to capable."""
    recording: bool
    """Whether requests are recorded at all (the master switch)."""
    servers_sampled: bool
    """Whether llama-servers are looked at; when not, nobody knows whether they are ready."""
    started: float
    """Monotonic time at which the sidecar started."""
    snapshot: Callable[[], Snapshot]
    """What was sampled last."""
    active: ActiveRequests
    """Who is in flight."""
    windows: Windows
    history: History
    totals: Totals
    decisions: Decisions
    availability: Callable[[], Mapping[str, Availability]]
    """Models by tier: how many, and how many can answer."""
    since: Callable[[], Mapping[str, float]]
    """By upstream: since when it has been seen to answer, or not to; UTC seconds since the epoch."""
    only_model: Callable[[str | None], str | None]
    """The model of an upstream that has no other."""
    connections: Callable[[], int]
    """Client connections that are open: those to the proxy, and live streams of the admin listener."""
    past: Past | None = None
    """What was stored; None where no store is configured."""
    clock: Callable[[], float] = time.monotonic
    """Monotonic seconds."""
    wall: Callable[[], float] = time.time
    """UTC seconds since the epoch."""

    @property
    def uptime_seconds(self) -> int:
        """Whole seconds since the sidecar started."""
        return max(int(self.clock() - self.started), 0)

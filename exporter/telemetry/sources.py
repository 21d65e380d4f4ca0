"""What the composition root lends to the telemetry: live views of everything that is not a finished request.

`app` builds one `Sources`; the families of `snapshot` read it at each scrape and never change anything.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass

from exporter.store.figures import StoreStatus
from exporter.system.availability import Availability
from exporter.system.snapshot import Snapshot
from exporter.telemetry.pushed import PushStatus


@dataclass(frozen=True, slots=True)
class Sources:
    """Callables are asked at each scrape; mappings are live counts since the start of the process, by name."""

    snapshot: Callable[[], Snapshot]
    """The newest samples."""
    in_flight: Callable[[], Iterable[tuple[str, str | None, int]]]
    """Requests being served now, as (tier, upstream, count); the upstream is None before one was chosen."""
    open_connections: Callable[[], Mapping[str, int]]
    """Clients that are connected, by listener."""
    configured_models: Callable[[], Mapping[str, int]]
    """Configured models by tier."""
    out_of_rotation: Callable[[], Container[str]]
    """Upstreams that get no requests now, though their last sample may be good."""
    recorded_availability: Callable[[], Mapping[str, Availability]]
    """What applications that route by themselves have said of their tiers."""
    sink_errors: Mapping[str, int]
    """Records that a sink failed on, by sink."""
    parse_errors: Mapping[str, int]
    """Answers that could not be understood, by dialect."""
    task_restarts: Mapping[str, int]
    """Restarts of background work, by task."""
    version: str
    """Version of this package."""
    store: Callable[[], StoreStatus | None] = lambda: None
    """How the store fares; None where none is configured."""
    pushed: Callable[[], PushStatus | None] = lambda: None
    """How pushing by OpenTelemetry fares; None where nothing is pushed."""
    python_version: str = platform.python_version()
    """Version of the Python that runs it."""
    clock: Callable[[], float] = time.monotonic
    """The collectors' monotonic clock, in seconds."""
    wall_clock: Callable[[], float] = time.time
    """UTC seconds since the epoch."""

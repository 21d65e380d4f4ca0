"""How late the event loop is: the sidecar's own measure of whether it holds up the streams that pass through it.

`app` runs `EventLoopLag.run` under the supervisor and shows its family in the exposition.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from exporter.telemetry import catalog
from exporter.telemetry.buckets import Bounds
from exporter.telemetry.instruments import Histogram

INTERVAL_SECONDS = 0.5


class EventLoopLag:
    """Sleeps, and observes how much longer than asked for that took."""

    def __init__(
        self,
        bounds: Bounds,
        *,
        interval_seconds: float = INTERVAL_SECONDS,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._interval_seconds = interval_seconds
        self._clock = clock
        self._histogram = Histogram(catalog.SIDECAR_EVENT_LOOP_LAG, bounds, wall_clock)

    def families(self) -> tuple[Histogram]:
        """The one histogram."""
        return (self._histogram,)

    async def run(self) -> None:
        """Measure for ever."""
        series = self._histogram.series()
        while True:
            due = self._clock() + self._interval_seconds
            await asyncio.sleep(self._interval_seconds)
            series.observe(max(0.0, self._clock() - due))

"""Pushes the metrics: at every interval all series as they are then, from a thread of its own.

`app` runs `MetricsPush.run` in the background, and calls `close` at the end. The exporters keep the account of what
arrived and what did not.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from opentelemetry.instrumentation.utils import suppress_instrumentation
from opentelemetry.sdk.metrics.export import MetricExporter, MetricExportResult, MetricsData

from exporter.otel.points import Conversion
from exporter.worker import Worker, outcome

log = logging.getLogger(__name__)

LAST_PUSH_SECONDS = 2.5
SHUTDOWN_SECONDS = 0.5


class MetricsPush:
    """Gives the metrics to their exporter. Its state belongs to the event loop; only `_export` and `_shut_down` run in
    threads."""

    def __init__(
        self,
        conversion: Conversion,
        exporter: MetricExporter,
        *,
        interval_seconds: float,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._conversion = conversion
        self._exporter = exporter
        self._interval_seconds = interval_seconds
        self._clock = clock
        self._wall_clock = wall_clock
        self._worker = Worker("metrics-push")
        self._since = 0.0
        """When the newest push was begun that was taken, in UTC seconds since the epoch."""

    async def run(self) -> None:
        """Push at every interval, for ever. What is due while a push is on its way is left out."""
        due = self._clock() + self._interval_seconds
        while True:
            await asyncio.sleep(max(0.0, due - self._clock()))
            await self._push()
            due = next_due(due, self._clock(), self._interval_seconds)

    async def close(self) -> None:
        """Push what has happened since, if that is quickly done, and shut the exporter down. `run` must have ended."""
        try:
            await asyncio.wait_for(self._push(), LAST_PUSH_SECONDS)
        except TimeoutError:
            log.warning("the last push of metrics was not done in time", extra={"limit_seconds": LAST_PUSH_SECONDS})
        except Exception:
            log.exception("the last push of metrics failed")
        finally:
            await self._end()

    async def _push(self) -> None:
        began = self._wall_clock()
        metrics = await self._conversion.convert(self._since)
        if await outcome(self._worker.submit(lambda: self._export(metrics))):
            self._since = began

    async def _end(self) -> None:
        self._worker.close()  # An export may hold its thread up for long. What is submitted now has a new one.
        ended = outcome(self._worker.submit(self._shut_down))
        self._worker.close()
        await asyncio.wait([ended], timeout=SHUTDOWN_SECONDS)

    # In threads

    def _export(self, metrics: MetricsData) -> bool:
        """Whether it was taken."""
        with suppress_instrumentation():  # Or whoever traces all requests of this process traces these.
            try:
                return self._exporter.export(metrics) is MetricExportResult.SUCCESS
            except Exception:
                log.exception("the exporter of metrics failed")
                return False

    def _shut_down(self) -> None:
        try:
            self._exporter.shutdown(timeout_millis=SHUTDOWN_SECONDS * 1000)
        except Exception:
            log.exception("the exporter of metrics could not be shut down")


def next_due(due: float, now: float, interval_seconds: float) -> float:
    """The first moment after `now` that is a whole number of intervals, and at least one, after `due`."""
    missed = max(0.0, (now - due) // interval_seconds)
    return due + (missed + 1) * interval_seconds

"""The sink that feeds every read-model of what has finished, and the bundle of these.

`app` puts `Live.record` among the sinks and lends the read-models to the rooms.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from exporter.live.availability import RecordedAvailability
from exporter.live.decisions import Decisions
from exporter.live.history import History
from exporter.live.query import read_query
from exporter.live.totals import Totals
from exporter.live.windows import Windows
from exporter.record import Decision, RequestRecord


class Live:
    """What has finished: windows, history, totals, decisions. Only requests that ask a model for something count."""

    def __init__(
        self,
        model_of: Callable[[RequestRecord], str],
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """`model_of` gives the label of the model of a request: few values, whatever clients send."""
        self._model_of = model_of
        self._clock = clock
        self._wall = wall
        self.windows = Windows(clock(), wall())
        self.history = History()
        self.totals = Totals()
        self.decisions = Decisions()
        self.recorded_availability = RecordedAvailability()

    def record(self, record: RequestRecord) -> None:
        """Count one finished request."""
        if record.decision is not None:
            self.decisions.add(record.tier, record.decision, record.started_at)
        if record.inference:
            query = read_query(record, self._model_of(record), self._clock())
            self.windows.add(query, self._wall())
            self.history.add(query)
            self.totals.add(query)

    def record_decision(self, tier: str, decision: Decision) -> None:
        """Count a decision that an application has made by itself."""
        self.decisions.add(tier, decision, self._wall())

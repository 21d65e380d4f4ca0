"""One guarded loop over the sinks: every finished record goes to each of them, and a sink that fails harms nobody.

`app` builds the `Fanout` and hands its `emit` to the proxy, which knows nothing of the sinks behind it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

from exporter.record import RequestRecord, Sink

log = logging.getLogger(__name__)


class Fanout:
    """Hands records to named sinks, in the order given."""

    def __init__(self, sinks: Mapping[str, Sink]) -> None:
        self._sinks = tuple(sinks.items())
        self.errors: dict[str, int] = dict.fromkeys(sinks, 0)
        """Records that each sink failed on, by its name."""

    def emit(self, record: RequestRecord) -> None:
        """Give the record to every sink. Never raises: a failure is counted, and logged the first time."""
        for name, sink in self._sinks:
            try:
                sink(record)
            except Exception:
                self.errors[name] += 1
                if self.errors[name] == 1:
                    log.exception("sink failed; later failures are only counted", extra={"sink": name})

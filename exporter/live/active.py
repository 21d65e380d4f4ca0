"""Who is in flight: the Observations of all requests that are being served.

`proxy.forward` reports a request's start and end through `RequestLog`; `telemetry` reads the counts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from exporter.observe.observation import Observation


class ActiveRequests:
    """The set of requests in flight."""

    def __init__(self) -> None:
        self._observations: set[Observation] = set()
        self.version = 0
        """Grows with every start and end."""

    def __len__(self) -> int:
        return len(self._observations)

    def __iter__(self) -> Iterator[Observation]:
        return iter(self._observations)

    def start(self, observation: Observation) -> None:
        """A request has arrived."""
        self._observations.add(observation)
        self.version += 1

    def end(self, observation: Observation) -> None:
        """A request has been accounted for. Ending one that never started is harmless."""
        self._observations.discard(observation)
        self.version += 1

    def count_by_upstream(self) -> dict[str, int]:
        """Requests in flight by the upstream that they were sent to; those without one yet are left out."""
        return dict(Counter(o.upstream for o in self._observations if o.upstream is not None))

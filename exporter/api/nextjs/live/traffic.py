"""How much is said: messages of the last minute, both ways, for the contract's status."""

from __future__ import annotations

from collections.abc import Callable
from math import floor

SECONDS = 60


class Traffic:
    """Counts by second. `clock` gives monotonic seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._counts = [0] * SECONDS
        self._newest = floor(clock())

    def note(self) -> None:
        """A message was sent, or has come."""
        self._counts[self._turn() % SECONDS] += 1

    def per_second(self) -> float:
        """Mean of the last minute."""
        self._turn()
        return sum(self._counts) / SECONDS

    def _turn(self) -> int:
        """The second that it is; those that have passed since are emptied."""
        now = floor(self._clock())
        for second in range(max(self._newest, now - SECONDS) + 1, now + 1):
            self._counts[second % SECONDS] = 0
        self._newest = max(self._newest, now)
        return self._newest

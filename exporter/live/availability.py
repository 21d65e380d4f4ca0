"""Which tiers have models that can answer: as applications say that route by themselves. Metrics and rooms show it in
the place of what the sidecar knows of its own upstreams.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from exporter.system.availability import Availability

TIER_LIMIT = 100
"""The tier that was heard of longest ago makes room for one too many."""
LIFETIME_SECONDS = 600.0
"""How long a word counts: an application that is gone must not have the last one for ever."""


class RecordedAvailability:
    """The last word of an application on each tier, as long as it counts."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._words: dict[str, tuple[float, Availability]] = {}
        """By tier, the one heard of last at the end: when, and what."""

    def tiers(self) -> dict[str, Availability]:
        """By tier."""
        oldest = self._clock() - LIFETIME_SECONDS
        return {tier: availability for tier, (said_at, availability) in self._words.items() if said_at > oldest}

    def record(self, tier: str, availability: Availability) -> None:
        """Take an application's word."""
        self._words.pop(tier, None)
        if len(self._words) >= TIER_LIMIT:
            del self._words[next(iter(self._words))]
        self._words[tier] = self._clock(), availability

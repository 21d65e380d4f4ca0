"""Which tiers have models that can answer: as applications say that route by themselves. Metrics and rooms show it in
the place of what the sidecar knows of its own upstreams.
"""

from __future__ import annotations

from collections.abc import Mapping

from exporter.system.availability import Availability

TIER_LIMIT = 100
"""The tier that was heard of longest ago makes room for one too many."""


class RecordedAvailability:
    """The last word of an application on each tier. It counts until the next one: applications speak when something
    changes, which may be never again."""

    def __init__(self) -> None:
        self._words: dict[str, Availability] = {}
        """By tier, the one heard of last at the end."""

    def tiers(self) -> Mapping[str, Availability]:
        """By tier."""
        return self._words

    def record(self, tier: str, availability: Availability) -> None:
        """Take an application's word."""
        self._words.pop(tier, None)
        if len(self._words) >= TIER_LIMIT:
            del self._words[next(iter(self._words))]
        self._words[tier] = availability

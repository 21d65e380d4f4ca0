"""Which tiers have models that can answer: as applications say that route by themselves. The rooms read it beside what
the sidecar knows of its own upstreams.
"""

from __future__ import annotations

from collections.abc import Mapping

from exporter.system.availability import Availability

TIER_LIMIT = 100


class RecordedAvailability:
    """The last word of an application on each tier."""

    def __init__(self) -> None:
        self._tiers: dict[str, Availability] = {}

    @property
    def tiers(self) -> Mapping[str, Availability]:
        """By tier."""
        return self._tiers

    def record(self, tier: str, availability: Availability) -> None:
        """Take an application's word. Raises ValueError for one tier too many."""
        if tier not in self._tiers and len(self._tiers) >= TIER_LIMIT:
            raise ValueError(f"there are {TIER_LIMIT} tiers already")
        self._tiers[tier] = availability

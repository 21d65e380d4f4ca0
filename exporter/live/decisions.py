"""What routing has decided since the start, by complexity and tier. Fed by `feed`, read by the rooms."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from exporter.record import Complexity, Decision

RECENT = 100
"""Decisions whose times are averaged."""
LARGEST_SCORE = 1e9
"""Clients may send any; higher ones count as this, so that sums stay finite."""
NEWEST = 10
"""Decisions that are remembered one by one."""
TIER_LIMIT = 100


class Decided(NamedTuple):
    """One decision."""

    wall: float
    """UTC seconds since the epoch."""
    tier: str
    """Where the request went."""
    decision: Decision


@dataclass(slots=True)
class Field:
    """One field of the matrix."""

    count: int = 0
    scored: int = 0
    """Of these, the decisions that had a score."""
    score: float = 0.0
    """Sum of the scores."""

    @property
    def mean_score(self) -> float | None:
        """None without scores."""
        return self.score / self.scored if self.scored else None


class Decisions:
    """The decision matrix, and how deciding went."""

    def __init__(self) -> None:
        self.total = 0
        self.fallbacks = 0
        self._matrix: dict[tuple[Complexity, str], Field] = {}
        self._tiers: set[str] = set()
        self.newest: deque[Decided] = deque(maxlen=NEWEST)
        """The last decisions, oldest first."""
        self._seconds: deque[float] = deque(maxlen=RECENT)

    @property
    def matrix(self) -> Mapping[tuple[Complexity, str], Field]:
        """By complexity, and the tier that the request went to."""
        return self._matrix

    @property
    def mean_seconds(self) -> float | None:
        """Mean time of the last 100 decisions; None without any."""
        return sum(self._seconds) / len(self._seconds) if self._seconds else None

    @property
    def fallback_share(self) -> float | None:
        """0 to 1; None without decisions."""
        return self.fallbacks / self.total if self.total else None

    def add(self, tier: str, decision: Decision, wall: float) -> None:
        """Count one decision for a request that went to `tier`."""
        self.newest.append(Decided(wall, tier, decision))
        self.total += 1
        self.fallbacks += decision.fallback
        self._seconds.append(decision.seconds)
        if tier not in self._tiers:
            if len(self._tiers) >= TIER_LIMIT:
                return
            self._tiers.add(tier)
        key = decision.complexity, tier
        field = self._matrix.get(key)
        if field is None:
            field = self._matrix[key] = Field()
        field.count += 1
        if decision.score is not None:
            field.scored += 1
            field.score += min(decision.score, LARGEST_SCORE)

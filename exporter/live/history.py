"""How each tier, and each model, has done: its last requests one by one, and sums since the start. Fed by `feed`, read
by the rooms.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Mapping
from typing import TypeVar

from exporter.live.query import Query

Key = TypeVar("Key", bound=Hashable)

SAMPLES = 20
"""Requests that are remembered one by one."""
SUBJECT_LIMIT = 512
"""Tiers, or models, that are told apart; what comes beyond is left out here (and counted in the totals)."""


class Course:
    """One tier, or one model on one upstream."""

    __slots__ = ("failed", "last_wall", "latencies_seconds", "queries", "speeds", "total_seconds")

    def __init__(self) -> None:
        self.queries = 0
        self.failed = 0
        self.total_seconds = 0.0
        """Sum of all latencies."""
        self.last_wall = 0.0
        """UTC time at which its last request ended."""
        self.latencies_seconds: deque[float] = deque(maxlen=SAMPLES)
        """Of its last requests, oldest first."""
        self.speeds: deque[float] = deque(maxlen=SAMPLES)
        """Tokens per second of the last requests whose speed is known."""

    @property
    def mean_seconds(self) -> float:
        """Mean latency; 0 without requests."""
        return self.total_seconds / self.queries if self.queries else 0.0

    @property
    def failed_share(self) -> float:
        """0 to 1; 0 without requests."""
        return self.failed / self.queries if self.queries else 0.0

    def add(self, query: Query) -> None:
        """Count one request."""
        self.queries += 1
        self.failed += query.failed
        self.total_seconds += query.latency_seconds
        self.last_wall = query.wall + query.latency_seconds
        self.latencies_seconds.append(query.latency_seconds)
        if query.tokens_per_second is not None:
            self.speeds.append(query.tokens_per_second)


class History:
    """Courses by tier, and by upstream and model."""

    def __init__(self) -> None:
        self._tiers: dict[str, Course] = {}
        self._models: dict[tuple[str, str], Course] = {}

    def add(self, query: Query) -> None:
        """Count one request."""
        course = _open(self._tiers, query.tier)
        if course is not None:
            course.add(query)
        if query.upstream is not None:
            course = _open(self._models, (query.upstream, query.served_model or ""))
            if course is not None:
                course.add(query)

    @property
    def tiers(self) -> Mapping[str, Course]:
        """By tier."""
        return self._tiers

    @property
    def models(self) -> Mapping[tuple[str, str], Course]:
        """By upstream and model, as the upstream lists it; "" where that is not known."""
        return self._models


def _open(courses: dict[Key, Course], key: Key) -> Course | None:
    course = courses.get(key)
    if course is None and len(courses) < SUBJECT_LIMIT:
        course = courses[key] = Course()
    return course

"""The last 30 minutes, by tier and model: how many requests finished when, and how they did. Fed by `feed`, read by the
rooms.

Counts stand in 10-second buckets, distributions in cells of a minute, so memory is bounded whatever clients send. Times
are monotonic seconds; buckets begin at multiples of 10 s of UTC, as far as the two clocks agree.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from math import floor
from typing import NamedTuple

from exporter.live.query import Query
from exporter.live.sketch import Sketch

BUCKET_SECONDS = 10
CELL_SECONDS = 60
WINDOW_SECONDS = 1800
SERIES_LIMIT = 32
"""Pairs of tier and model that have distributions of their own in each minute; those beyond share one for each tier."""
TIER_LIMIT = 32
"""Tiers that have such a shared one; those beyond share one together."""
OTHER = "other"
_BUCKETS = WINDOW_SECONDS // BUCKET_SECONDS
_CELLS = WINDOW_SECONDS // CELL_SECONDS + 1


class Bucket(NamedTuple):
    """Ten seconds: from `starts_at` (UTC seconds since the epoch) to 10 s later, that moment left out."""

    starts_at: float
    queries: int


@dataclass(slots=True)
class _Counts:
    """One bucket as it is filled."""

    number: int
    latency_seconds: float = 0.0
    by_tier: dict[str, int] = field(default_factory=dict)

    @property
    def queries(self) -> int:
        return sum(self.by_tier.values())


class _Series:
    """The distributions of one tier and model in one minute, or of several together."""

    __slots__ = ("failed", "latency", "output_tokens", "queries", "speed", "ttft")

    def __init__(self) -> None:
        self.queries = 0
        self.failed = 0
        self.output_tokens = 0
        self.latency = Sketch()
        self.ttft = Sketch()
        self.speed = Sketch()

    @classmethod
    def union(cls, parts: Sequence[_Series]) -> _Series:
        """Several as one."""
        whole = cls()
        whole.queries = sum(each.queries for each in parts)
        whole.failed = sum(each.failed for each in parts)
        whole.output_tokens = sum(each.output_tokens for each in parts)
        whole.latency = Sketch(each.latency for each in parts)
        whole.ttft = Sketch(each.ttft for each in parts)
        whole.speed = Sketch(each.speed for each in parts)
        return whole


@dataclass(slots=True)
class _Cell:
    """One minute as it is filled."""

    number: int
    series: dict[tuple[str, str], _Series] = field(default_factory=dict)
    latency: Sketch | None = None
    """Of all series together, once the minute is over and somebody has asked: to put hundreds together takes long."""
    by_tier: dict[str | None, _Series] = field(default_factory=dict)
    """The same with all that there is, by tier, and of all tiers (None)."""

    def all_latencies(self, *, is_over: bool) -> Sketch:
        if self.latency is not None:
            return self.latency
        together = Sketch(series.latency for series in self.series.values())
        if is_over:
            self.latency = together
        return together

    def of_tier(self, tier: str | None, *, is_over: bool) -> _Series:
        """All models of a tier; of all tiers (None), which is quick where each was asked for before."""
        if tier in self.by_tier:
            return self.by_tier[tier]
        if tier is None:
            parts = [self.of_tier(each, is_over=is_over) for each in dict.fromkeys(name for name, _ in self.series)]
        else:
            parts = [series for (name, _), series in self.series.items() if name == tier]
        together = parts[0] if len(parts) == 1 else _Series.union(parts)
        if is_over:
            self.by_tier[tier] = together
        return together


class Distribution(NamedTuple):
    """Percentiles, with the relative error of `sketch`; None without values."""

    values: int
    """How many there were."""
    p50: float | None
    p95: float | None
    p99: float | None


class Summary(NamedTuple):
    """What finished within the last 30 to 31 minutes."""

    queries: int
    failed: int
    output_tokens: int
    latency_seconds: Distribution
    ttft_seconds: Distribution
    tokens_per_second: Distribution


class WindowSums(NamedTuple):
    """What finished within the window, all in all."""

    queries: int
    mean_latency_seconds: float | None
    by_tier: dict[str, int]


class Windows:
    """The window that ends now. Times passed in never go back."""

    def __init__(self, now: float, wall: float) -> None:
        self._ahead = wall - now
        self._buckets: deque[_Counts] = deque(maxlen=_BUCKETS + 1)
        self._cells: deque[_Cell] = deque(maxlen=_CELLS)

    def add(self, query: Query, wall: float) -> None:
        """Count a request that has just finished, at `wall`."""
        self._align(query.at, wall)
        bucket = self._bucket(query.at)
        bucket.latency_seconds += query.latency_seconds
        bucket.by_tier[query.tier] = bucket.by_tier.get(query.tier, 0) + 1
        series = self._series_of(query)
        series.queries += 1
        series.failed += query.failed
        series.output_tokens += query.output_tokens
        series.latency.add(query.latency_seconds)
        if query.ttft_seconds is not None:
            series.ttft.add(query.ttft_seconds)
        if query.tokens_per_second is not None:
            series.speed.add(query.tokens_per_second)

    def recent(self, now: float, wall: float, count: int) -> list[Bucket]:
        """The last `count` complete buckets, oldest first."""
        late = self._align(now, wall)
        end = self._number(now, BUCKET_SECONDS)
        queries = {bucket.number: bucket.queries for bucket in self._buckets}
        return [Bucket(number * BUCKET_SECONDS - late, queries.get(number, 0)) for number in range(end - count, end)]

    def sums(self, now: float, wall: float) -> WindowSums:
        """Sums over the window: the last 180 complete buckets, and the one that is being filled."""
        self._align(now, wall)
        oldest = self._number(now, BUCKET_SECONDS) - _BUCKETS
        by_tier: dict[str, int] = {}
        latency = 0.0
        for bucket in self._buckets:
            if bucket.number >= oldest:
                latency += bucket.latency_seconds
                for tier, queries in bucket.by_tier.items():
                    by_tier[tier] = by_tier.get(tier, 0) + queries
        queries = sum(by_tier.values())
        return WindowSums(queries, latency / queries if queries else None, by_tier)

    def latency(self, now: float, wall: float) -> Distribution:
        """Latencies of everything, in seconds."""
        self._align(now, wall)
        newest = self._number(now, CELL_SECONDS)
        return _distribution(cell.all_latencies(is_over=cell.number < newest) for cell in self._recent_cells(newest))

    def summary(self, now: float, wall: float, *, tier: str | None = None, model: str | None = None) -> Summary:
        """Percentiles over the window, of everything or of one tier, one model, or both."""
        self._align(now, wall)
        newest = self._number(now, CELL_SECONDS)
        cells = self._recent_cells(newest)
        if model is None:
            found = [cell.of_tier(tier, is_over=cell.number < newest) for cell in cells]
        else:
            found = [each for cell in cells for each in _matching(cell, tier, model)]
        return Summary(
            queries=sum(each.queries for each in found),
            failed=sum(each.failed for each in found),
            output_tokens=sum(each.output_tokens for each in found),
            latency_seconds=_distribution(each.latency for each in found),
            ttft_seconds=_distribution(each.ttft for each in found),
            tokens_per_second=_distribution(each.speed for each in found),
        )

    def _recent_cells(self, newest: int) -> Iterator[_Cell]:
        return (cell for cell in self._cells if cell.number > newest - _CELLS)

    def _number(self, now: float, seconds: int) -> int:
        return floor((now + self._ahead) / seconds)

    def _align(self, now: float, wall: float) -> float:
        """Follow a wall clock that has run ahead (the machine slept): what lies back then is older than it seemed.

        Buckets cannot go back, so a wall clock that was set back only moves what is said of their beginnings: by so
        many whole seconds.
        """
        drift = wall - now - self._ahead
        if drift > 1:
            self._ahead += drift
            return 0.0
        return float(round(-drift)) if drift < -1 else 0.0

    def _bucket(self, now: float) -> _Counts:
        number = self._number(now, BUCKET_SECONDS)
        if not self._buckets or self._buckets[-1].number < number:
            self._buckets.append(_Counts(number))
        return self._buckets[-1]

    def _series_of(self, query: Query) -> _Series:
        number = self._number(query.at, CELL_SECONDS)
        if not self._cells or self._cells[-1].number < number:
            self._cells.append(_Cell(number))
        cell = self._cells[-1].series
        key = query.tier, query.model
        if key not in cell and len(cell) >= SERIES_LIMIT:
            key = query.tier, OTHER
            if key not in cell and len(cell) >= SERIES_LIMIT + TIER_LIMIT:
                key = OTHER, OTHER
        series = cell.get(key)
        if series is None:
            series = cell[key] = _Series()
        return series


def _matching(cell: _Cell, tier: str | None, model: str) -> Iterator[_Series]:
    for (its_tier, its_model), series in cell.series.items():
        if tier in (None, its_tier) and model == its_model:
            yield series


def _distribution(sketches: Iterable[Sketch]) -> Distribution:
    whole = Sketch(sketches)
    return Distribution(len(whole), whole.quantile(0.5), whole.quantile(0.95), whole.quantile(0.99))

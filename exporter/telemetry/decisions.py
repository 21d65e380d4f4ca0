"""What routing decided, as counters and histograms; `prometheus.RequestMetrics` owns it.

With a single upstream nothing is decided, and these families have no series.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from exporter.record import Complexity, Decision
from exporter.telemetry import catalog
from exporter.telemetry.buckets import Buckets
from exporter.telemetry.guard import OTHER, clean
from exporter.telemetry.instruments import Counter, CounterSeries, Histogram, HistogramSeries

TIER_LIMIT = 100
"""Tiers that are told apart. They come from the configuration and from quantizations, so there are few; but a router
can change its list of models for ever."""

Key = tuple[Complexity, str, bool]
"""Complexity, tier, fallback."""
Opened = tuple[CounterSeries, HistogramSeries, HistogramSeries | None]
"""What a decision feeds: decisions, time, scores."""

_FALLBACK = {False: "false", True: "true"}


class DecisionMetrics:
    """Decisions by complexity, tier and fallback; scores; and the time that deciding took."""

    def __init__(
        self, overflow: Counter, buckets: Buckets, tiers: Sequence[str], wall_clock: Callable[[], float]
    ) -> None:
        """`overflow` counts the tiers that became `other`. The series of `tiers` are there from the start."""
        self._decisions = Counter(catalog.ROUTING_DECISIONS, wall_clock)
        self._score = Histogram(catalog.ROUTING_SCORE, buckets.score, wall_clock)
        self._duration = Histogram(catalog.ROUTING_DECISION_DURATION, buckets.decision, wall_clock)
        self._overflow = overflow
        self._series: dict[Key, Opened] = {}
        self._tiers: dict[str, str] = {}
        """The label of each tier seen so far."""
        for tier in tiers:
            self._open(tier)

    def families(self) -> tuple[Counter | Histogram, ...]:
        """All three."""
        return self._decisions, self._score, self._duration

    def record(self, tier: str, decision: Decision) -> None:
        """Count one decision for a request that went to `tier`."""
        key = decision.complexity, tier, decision.fallback
        series = self._series.get(key)
        if series is None:
            series = self._series_of(*key)
        count, duration, score = series
        count.inc()
        duration.observe(decision.seconds)
        if decision.score is not None:
            if score is None:
                score = self._open_score(key, series)
            score.observe(decision.score)

    def _series_of(self, complexity: Complexity, tier: str, fallback: bool) -> Opened:
        label = self._tiers.get(tier) or self._admit(tier)
        series = self._decisions.series((str(complexity), label, _FALLBACK[fallback])), self._duration.series(), None
        if label != OTHER:  # of these there is no end, and each is counted as an overflow
            self._series[complexity, tier, fallback] = series
        return series

    def _open_score(self, key: Key, opened: Opened) -> HistogramSeries:
        """A score's series is opened by its first value."""
        complexity, label, _ = opened[0].labels
        score = self._score.series((complexity, label))
        if key in self._series:
            self._series[key] = opened[0], opened[1], score
        return score

    def _admit(self, tier: str) -> str:
        if len(self._tiers) < TIER_LIMIT:
            return self._open(tier)
        self._overflow.series(("tier",)).inc()
        return OTHER

    def _open(self, tier: str) -> str:
        """The label for `tier`, with all its counters: one that begins with its first event hides it from rate()."""
        label = self._tiers[tier] = clean(tier)
        for complexity in Complexity:
            for fallback in _FALLBACK.values():
                self._decisions.series((complexity, label, fallback))
        self._duration.series()
        self._overflow.series(("tier",))
        return label

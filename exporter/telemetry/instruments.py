"""Counters and histograms that requests and timers feed: a small store of values, cheap to record into and to render.

`prometheus`, `guard` and `lag` own the families; `exposition` renders them, and any `prometheus_client` registry can
collect them. There are no locks: everything happens on one event loop.
"""

from __future__ import annotations

import sys
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Generic, TypeVar

from prometheus_client.core import Exemplar as ExemplarSample
from prometheus_client.core import Metric as MetricFamily

from exporter.telemetry.buckets import Bounds
from exporter.telemetry.catalog import Metric
from exporter.telemetry.number import go_float

LARGEST = sys.float_info.max


@dataclass(frozen=True, slots=True)
class Exemplar:
    """One observation that belongs to a sampled trace."""

    trace_id: str
    span_id: str
    value: float
    timestamp: float
    """UTC seconds since the epoch."""

    @property
    def labels(self) -> dict[str, str]:
        """As an exposition shows them."""
        return {"span_id": self.span_id, "trace_id": self.trace_id}


class Series:
    """What all series have: their label values and when they began."""

    __slots__ = ("created", "labels", "text")

    def __init__(self, labels: tuple[str, ...], created: float) -> None:
        self.labels = labels
        self.created = created
        """UTC seconds since the epoch."""
        self.text: tuple[str, str] | None = None
        """Rendered label text, kept by `lines` between scrapes."""


class CounterSeries(Series):
    """One counter."""

    __slots__ = ("value",)

    def __init__(self, labels: tuple[str, ...], created: float) -> None:
        super().__init__(labels, created)
        self.value = 0.0

    def inc(self, amount: float = 1.0) -> None:
        """Add `amount`; one that is negative or not finite came from a confused server and is dropped."""
        if 0.0 <= amount <= LARGEST:
            self.value += amount


class HistogramSeries(Series):
    """One histogram."""

    __slots__ = ("bounds", "counts", "exemplars", "total")

    def __init__(self, labels: tuple[str, ...], created: float, bounds: Bounds) -> None:
        super().__init__(labels, created)
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        """Observations per bucket, not cumulative; the last is +Inf."""
        self.total = 0.0
        self.exemplars: list[Exemplar | None] | None = None
        """The newest per bucket, once there is one at all."""

    def observe(self, value: float, exemplar: Exemplar | None = None) -> None:
        """Count `value`; one that is negative or not finite came from a confused server and is dropped."""
        if not 0.0 <= value <= LARGEST:
            return
        bucket = bisect_left(self.bounds, value)
        self.total += value
        self.counts[bucket] += 1
        if exemplar is not None:
            self._keep(bucket, exemplar)

    def merge(self, counts: Sequence[int], total: float, exemplar: Exemplar | None = None) -> None:
        """Add observations made elsewhere over the same bounds: counts per bucket, +Inf included, and their sum; and
        one of them as an exemplar."""
        self.counts[:] = [mine + more for mine, more in zip(self.counts, counts, strict=True)]
        self.total += total
        if exemplar is not None:
            self._keep(bisect_left(self.bounds, exemplar.value), exemplar)

    def _keep(self, bucket: int, exemplar: Exemplar) -> None:
        if self.exemplars is None:
            self.exemplars = [None] * len(self.counts)
        self.exemplars[bucket] = exemplar

    @property
    def count(self) -> int:
        """Number of observations."""
        return sum(self.counts)


S = TypeVar("S", bound=Series)


class Family(Generic[S]):
    """All series of one metric, by label values."""

    def __init__(
        self, metric: Metric, open_series: Callable[[tuple[str, ...], float], S], wall_clock: Callable[[], float]
    ):
        self.metric = metric
        self._open_series = open_series
        self._wall_clock = wall_clock
        self._series: dict[tuple[str, ...], S] = {}

    def series(self, labels: tuple[str, ...] = ()) -> S:
        """The series of these label values, which stand in the order of `metric.labels`; opened when there is none."""
        try:
            return self._series[labels]
        except KeyError:
            return self._open(labels)

    def all(self) -> tuple[S, ...]:
        """Every series there is now; later ones do not disturb whoever goes through the answer."""
        return tuple(self._series.values())

    def _open(self, labels: tuple[str, ...]) -> S:
        if len(labels) != len(self.metric.labels):
            raise ValueError(f"{self.metric.name} has the labels {self.metric.labels}, not {labels}")
        series = self._series[labels] = self._open_series(labels, self._wall_clock())
        return series

    def _empty(self) -> MetricFamily:
        metric = self.metric
        return MetricFamily(metric.name, metric.help, metric.kind, metric.suffix_unit)

    def _named(self, series: S) -> dict[str, str]:
        return dict(zip(self.metric.labels, series.labels, strict=True))


class Counter(Family[CounterSeries]):
    """A counter metric."""

    def __init__(self, metric: Metric, wall_clock: Callable[[], float] = time.time) -> None:
        super().__init__(metric, CounterSeries, wall_clock)

    def collect(self) -> Iterator[MetricFamily]:
        """The family in `prometheus_client`'s shape."""
        family = self._empty()
        for series in self.all():
            labels = self._named(series)
            family.add_sample(f"{family.name}_total", labels, series.value)
            family.add_sample(f"{family.name}_created", labels, series.created)
        yield family


class Histogram(Family[HistogramSeries]):
    """A histogram metric."""

    def __init__(self, metric: Metric, bounds: Bounds, wall_clock: Callable[[], float] = time.time) -> None:
        super().__init__(metric, lambda labels, created: HistogramSeries(labels, created, bounds), wall_clock)
        self.bounds = bounds
        self.les: tuple[str, ...] = (*map(go_float, bounds), "+Inf")
        """Values of the `le` label."""

    def collect(self) -> Iterator[MetricFamily]:
        """The family in `prometheus_client`'s shape."""
        family = self._empty()
        for series in self.all():
            self._add(family, series)
        yield family

    def _add(self, family: MetricFamily, series: HistogramSeries) -> None:
        labels = self._named(series)
        exemplars = series.exemplars or [None] * len(series.counts)
        for le, count, exemplar in zip(self.les, accumulate(series.counts), exemplars, strict=True):
            family.add_sample(f"{family.name}_bucket", {**labels, "le": le}, count, exemplar=_exemplar_sample(exemplar))
        family.add_sample(f"{family.name}_count", labels, series.count)
        family.add_sample(f"{family.name}_sum", labels, series.total)
        family.add_sample(f"{family.name}_created", labels, series.created)


def _exemplar_sample(exemplar: Exemplar | None) -> ExemplarSample | None:
    if exemplar is None:
        return None
    return ExemplarSample(exemplar.labels, exemplar.value, exemplar.timestamp)

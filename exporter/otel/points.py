"""Turns our families into what OTLP carries, without holding up the streams that pass through the same event loop.

`push` asks for it at each push. Nothing is recorded a second time: what is pushed is what a scrape would show. Like a
scrape, the work is cut into slices of half a millisecond.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from opentelemetry.sdk.metrics import Exemplar as OtlpExemplar
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    HistogramDataPoint,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.metrics.export import Histogram as OtlpHistogram
from opentelemetry.sdk.metrics.export import Metric as OtlpMetric
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from exporter import __version__
from exporter.otel.names import INTEGERS, Instrument, View, views
from exporter.otel.resource import SCHEMA_URL, SERVICE
from exporter.otel.values import as_unicode, nanoseconds
from exporter.telemetry.catalog import Feed, Metric
from exporter.telemetry.exposition import SLICE_SECONDS, FamilySource
from exporter.telemetry.instruments import Counter, CounterSeries, Exemplar, Histogram, HistogramSeries
from exporter.telemetry.lines import AnyFamily

_WHOLE_LIMIT = 2**53
"""Below this every whole number is also a double, and so the same for all who receive it."""
_UNKNOWN: Any = None
"""Nobody keeps the smallest and the largest value; OTLP can leave them out, the SDK's types cannot."""

_Labels = tuple[str, ...]
_Reading = CounterSeries | HistogramSeries | float


class Starts:
    """Since when counters count that are only sampled."""

    def __init__(self, process: float, boot: Callable[[], float | None] = lambda: None) -> None:
        """UTC seconds since the epoch; `boot` is asked until it knows."""
        self._process = nanoseconds(process)
        self._ask_boot = boot
        self._boot = 0

    def of(self, metric: Metric) -> int:
        """UTC nanoseconds since the epoch; 0 where nobody knows (a GPU's driver, a llama-server)."""
        if metric.feed is Feed.SELF or metric.name.startswith("process_"):
            return self._process
        return self._booted() if metric.feed is Feed.HOST else 0

    def _booted(self) -> int:
        # The first answer stays: platforms work it out anew each time, and to a receiver a new start is a reset.
        if not self._boot:
            self._boot = nanoseconds(self._ask_boot() or 0.0)
        return self._boot


@dataclass(frozen=True, slots=True)
class _Moment:
    """When a push was begun, and when the one before."""

    now: int
    """UTC nanoseconds since the epoch."""
    since: float
    """UTC seconds since the epoch."""


class Conversion:
    """Everything that is pushed, in the order of its sources."""

    def __init__(
        self,
        sources: Sequence[FamilySource],
        resource: Resource,
        starts: Starts,
        *,
        latest_names: bool = False,
        wall_clock: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.perf_counter,
        slice_seconds: float = SLICE_SECONDS,
    ) -> None:
        self._sources = sources
        self._resource = resource
        self._starts = starts
        self._latest_names = latest_names
        self._wall_clock = wall_clock
        self._clock = clock
        self._slice_seconds = slice_seconds
        self._scope = InstrumentationScope(SERVICE, __version__, SCHEMA_URL)

    async def convert(self, since: float = 0.0) -> MetricsData:
        """All series as they are now, and the exemplars that are newer than `since`, in UTC seconds since the epoch."""
        metrics: list[OtlpMetric] = []
        moment = _Moment(nanoseconds(self._wall_clock()), since)
        started = self._clock()
        for _ in self._convert_series(metrics, moment):
            if self._clock() - started >= self._slice_seconds:
                await asyncio.sleep(0)
                started = self._clock()
        scope = ScopeMetrics(self._scope, metrics, SCHEMA_URL)
        return MetricsData([ResourceMetrics(self._resource, [scope], self._resource.schema_url)])

    def _convert_series(self, metrics: list[OtlpMetric], moment: _Moment) -> Iterator[None]:
        """Add every family that has samples to `metrics`; a step is one series, whole."""
        for source in self._sources:
            for family in source.families():
                drafts = self._drafts(family, moment)
                for labels, reading in _readings(family):
                    for draft in drafts:
                        draft.add(labels, reading)
                    yield
                metrics += [draft.finish() for draft in drafts if draft.points]

    def _drafts(self, family: AnyFamily, moment: _Moment) -> list[_Numbers | _Distributions]:
        start = self._starts.of(family.metric)
        return [
            _Distributions(view, moment) if view.instrument is Instrument.HISTOGRAM else _Numbers(view, moment, start)
            for view in views(family.metric, latest=self._latest_names)
        ]


def _readings(family: AnyFamily) -> Iterator[tuple[_Labels, _Reading]]:
    if isinstance(family, Counter | Histogram):
        return ((series.labels, series) for series in family.all())
    return family.samples()


class _Draft:
    """What all metrics in the making have in common: which series are theirs, and what attributes these get."""

    def __init__(self, view: View, moment: _Moment) -> None:
        self.view = view
        self._moment = moment
        self._names = view.attributes
        self._integers = INTEGERS.intersection(view.attributes)
        self._more: dict[str, str | int] = dict(view.more)
        self._only = (view.attributes.index(view.only[0]), view.only[1]) if view.only else None

    def _is_ours(self, labels: _Labels) -> bool:
        return self._only is None or labels[self._only[0]] == self._only[1]

    def _attributes(self, labels: _Labels) -> dict[str, str | int]:
        """An empty label is none."""
        attributes: dict[str, str | int] = {
            name: value for name, value in zip(self._names, labels, strict=True) if value
        }
        if not "".join(labels).isascii():
            attributes.update((name, as_unicode(str(value))) for name, value in attributes.items())
        for name in self._integers & attributes.keys():
            attributes[name] = _integer(str(attributes[name]))
        if self.view.only:
            del attributes[self.view.only[0]]
        return attributes | self._more if self._more else attributes

    def _stamp(self, start: int) -> int:
        """The time of a point. A series that was opened after the push had begun is not older than itself."""
        return max(self._moment.now, start)

    def _metric(self, data: Sum | Gauge | OtlpHistogram) -> OtlpMetric:
        return OtlpMetric(self.view.name, self.view.description, self.view.unit, data)


class _Numbers(_Draft):
    """A sum or a gauge."""

    def __init__(self, view: View, moment: _Moment, start: int) -> None:
        """`start` is that of samples; a series has its own."""
        super().__init__(view, moment)
        self._start = start
        self.points: list[NumberDataPoint] = []

    def add(self, labels: _Labels, reading: _Reading) -> None:
        if not self._is_ours(labels):
            return
        value, start = self._value(reading)
        self.points.append(
            NumberDataPoint(self._attributes(labels), start, self._stamp(start), _number(value, self.view.whole))
        )

    def finish(self) -> OtlpMetric:
        if self.view.instrument is Instrument.GAUGE:
            return self._metric(Gauge(self.points))
        is_monotonic = self.view.instrument is Instrument.COUNTER
        return self._metric(Sum(self.points, AggregationTemporality.CUMULATIVE, is_monotonic))

    def _value(self, reading: _Reading) -> tuple[float, int]:
        if isinstance(reading, CounterSeries):
            return reading.value, nanoseconds(reading.created)
        if isinstance(reading, HistogramSeries):
            return reading.total, nanoseconds(reading.created)
        return reading, self._start


class _Distributions(_Draft):
    """A histogram."""

    def __init__(self, view: View, moment: _Moment) -> None:
        super().__init__(view, moment)
        self.points: list[HistogramDataPoint] = []

    def add(self, labels: _Labels, reading: _Reading) -> None:
        if not isinstance(reading, HistogramSeries):
            raise TypeError(f"{self.view.name} is a histogram")
        if self._is_ours(labels):
            self.points.append(self._point(labels, reading))

    def finish(self) -> OtlpMetric:
        return self._metric(OtlpHistogram(self.points, AggregationTemporality.CUMULATIVE))

    def _point(self, labels: _Labels, series: HistogramSeries) -> HistogramDataPoint:
        start = nanoseconds(series.created)
        return HistogramDataPoint(
            attributes=self._attributes(labels),
            start_time_unix_nano=start,
            time_unix_nano=self._stamp(start),
            count=series.count,
            sum=series.total,
            bucket_counts=tuple(series.counts),
            explicit_bounds=series.bounds,
            min=_UNKNOWN,
            max=_UNKNOWN,
            exemplars=self._exemplars(series) if series.exemplars else (),
        )

    def _exemplars(self, series: HistogramSeries) -> list[OtlpExemplar]:
        """Those that no push has had, from the lowest bucket to the highest, as receivers want them."""
        since = self._moment.since
        return [_exemplar(each) for each in series.exemplars or () if each is not None and each.timestamp > since]


def _exemplar(exemplar: Exemplar) -> OtlpExemplar:
    time_of = nanoseconds(exemplar.timestamp)
    return OtlpExemplar({}, exemplar.value, time_of, int(exemplar.span_id, 16), int(exemplar.trace_id, 16))


def _number(value: float, whole: bool) -> int | float:
    """Counts as whole numbers, everything else as a float, so that a metric does not change between the two."""
    if whole and -_WHOLE_LIMIT < value < _WHOLE_LIMIT and value == int(value):
        return int(value)
    return float(value)


def _integer(value: str) -> str | int:
    return int(value) if value.isdecimal() else value

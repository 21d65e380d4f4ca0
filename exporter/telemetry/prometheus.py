"""The sink that turns finished requests into counters and histograms.

`app` puts `RequestMetrics.record` among the sinks, calls `observe_health` with each new sample of an upstream, and
shows the families in the exposition.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any

from exporter.record import Attempt, Decision, GapHistogram, Outcome, RequestRecord
from exporter.system.snapshot import HealthSnapshot, LlamaServerSnapshot
from exporter.telemetry import catalog
from exporter.telemetry.buckets import Bounds, Buckets
from exporter.telemetry.catalog import Metric
from exporter.telemetry.decisions import DecisionMetrics
from exporter.telemetry.guard import ERROR_TYPE, FINISH_REASON, Guard
from exporter.telemetry.instruments import Counter, CounterSeries, Exemplar, Histogram, HistogramSeries

BUNDLE_LIMIT = 4096

_HISTOGRAMS = (
    (catalog.TIME_TO_FIRST_TOKEN, "ttft_seconds"),
    (catalog.TIME_PER_OUTPUT_TOKEN, "time_per_output_token_seconds"),
    (catalog.OUTPUT_SPEED, "output_tokens_per_second"),
    (catalog.PROMPT_SPEED, "prompt_tokens_per_second"),
    (catalog.QUEUE_TIME, "queue_seconds"),
    (catalog.PROXY_OVERHEAD, "overhead_seconds"),
)
_COUNTERS = (
    (catalog.CACHED_TOKENS, "cached_tokens"),
    (catalog.DRAFT_TOKENS, "draft_tokens"),
    (catalog.DRAFT_TOKENS_ACCEPTED, "draft_accepted_tokens"),
)
_TOKEN_TYPES = (("input", "input_tokens"), ("output", "output_tokens"))

_Labels = tuple[str, ...]
_Add = Callable[..., None]
"""Takes a value; that of a histogram an exemplar, too."""


class _Bundle:
    """Every series that requests with the same labels feed, each opened when it is first fed."""

    __slots__ = ("adders", "durations", "finish_reasons", "gaps", "labels", "requests")

    def __init__(self, labels: _Labels, fields: int) -> None:
        self.labels = labels
        self.adders: list[_Add | None] = [None] * fields
        self.durations: dict[str, HistogramSeries] = {}
        self.requests: dict[tuple[bool, str, int | None], CounterSeries] = {}
        self.finish_reasons: dict[str, CounterSeries] = {}
        self.gaps: HistogramSeries | None = None


class RequestMetrics:
    """All metrics that are fed by finished requests and by health checks."""

    def __init__(
        self,
        guard: Guard,
        buckets: Buckets | None = None,
        *,
        only_model: Callable[[str | None], str | None] = lambda _: None,
        tiers: Sequence[str] = (),
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        """`only_model` gives the model of an upstream that has no other: what is meant by a request that names none.
        `tiers` are those that requests are known to be routed to."""
        bounds = buckets or Buckets()

        def histogram(metric: Metric) -> Histogram:
            return Histogram(metric, getattr(bounds, metric.buckets), wall_clock)

        self._guard = guard
        self._only_model = only_model
        self._named: tuple[RequestRecord | None, str] = (None, "")
        self._duration = histogram(catalog.REQUEST_DURATION)
        self._gaps = histogram(catalog.INTER_TOKEN_LATENCY)
        self._tokens = histogram(catalog.TOKEN_USAGE)
        self._health = histogram(catalog.UPSTREAM_HEALTH_CHECK)
        self._requests = Counter(catalog.REQUESTS, wall_clock)
        self._origins = Counter(catalog.ORIGIN_REQUESTS, wall_clock)
        self._finish_reasons = Counter(catalog.FINISH_REASONS, wall_clock)
        self._attempts = Counter(catalog.UPSTREAM_ATTEMPTS, wall_clock)
        self._histograms = [histogram(metric) for metric, _ in _HISTOGRAMS]
        self._counters = [Counter(metric, wall_clock) for metric, _ in _COUNTERS]
        self._routing = DecisionMetrics(guard.overflow, bounds, tiers, wall_clock)
        self._fields = self._build_fields()
        self._bundles: dict[_Labels, _Bundle] = {}
        self._by_origin: dict[str | None, CounterSeries] = {}

    def families(self) -> tuple[Counter | Histogram, ...]:
        """Every family, in the order of the catalogue."""
        every: list[Counter | Histogram] = [*self._histograms, *self._counters, self._guard.overflow]
        every += self._duration, self._gaps, self._tokens, self._health
        every += self._requests, self._origins, self._finish_reasons, self._attempts, *self._routing.families()
        return tuple(sorted(every, key=lambda family: catalog.CATALOGUE.index(family.metric)))

    def record(self, record: RequestRecord) -> None:
        """Count one finished request."""
        bundle = self._bundle(record)
        self._count_request(bundle, record)
        self._count_origin(record)
        for attempt in record.attempts:
            self._count_attempt(attempt)
        if record.decision is not None:
            self._routing.record(record.tier, record.decision)
        if record.inference:
            self._observe(bundle, record)

    def record_decision(self, tier: str, decision: Decision) -> None:
        """Count a decision that was made elsewhere."""
        self._routing.record(tier, decision)

    def observe_health(self, server: LlamaServerSnapshot | HealthSnapshot) -> None:
        """Take the round trip of the health check in a new sample; a check without an answer has none."""
        if server.health_seconds is not None:
            self._health.series((server.upstream,)).observe(server.health_seconds)

    def model_of(self, record: RequestRecord) -> str:
        """The model label of a request; other sinks ask for it too, so that all show the same, and what overflows is
        counted once."""
        last, label = self._named
        if record is not last:
            label = self._name_model(record)
            self._named = record, label
        return label

    def _name_model(self, record: RequestRecord) -> str:
        answered = record.response_model
        if answered is None and record.requested_model is None and record.inference:
            answered = self._only_model(record.upstream)
        worked = record.status_code is not None and record.status_code < 400
        return self._guard.model(record.requested_model, answered, worked=worked)

    def _bundle(self, record: RequestRecord) -> _Bundle:
        labels = (record.operation, record.provider, self.model_of(record), record.tier, record.upstream or "")
        bundle = self._bundles.get(labels)
        if bundle is None:
            if len(self._bundles) >= BUNDLE_LIMIT:
                self._bundles.clear()  # The series live on in their families.
            bundle = self._bundles[labels] = _Bundle(labels, len(self._fields))
        return bundle

    def _count_request(self, bundle: _Bundle, record: RequestRecord) -> None:
        status = record.status_code
        key = (record.stream, record.outcome, status)
        series = bundle.requests.get(key)
        if series is None:
            stream = "true" if record.stream else "false"
            labels = (*bundle.labels, stream, record.outcome, "" if status is None else str(status))
            series = bundle.requests[key] = self._requests.series(labels)
        series.inc()

    def _count_origin(self, record: RequestRecord) -> None:
        series = self._by_origin.get(record.origin)
        if series is None:
            series = self._open_origin(record)
        series.inc()

    def _open_origin(self, record: RequestRecord) -> CounterSeries:
        """Kept are the series of those shown as they are: of others there is no end, and some count as an overflow."""
        sent = record.origin
        label = self._guard.origin(sent, let_in=record.outcome is not Outcome.REJECTED)
        series = self._origins.series((label,))
        if sent is None or label == sent:
            self._by_origin[sent] = series
        return series

    def _count_attempt(self, attempt: Attempt) -> None:
        self._attempts.series((attempt.upstream, attempt.result)).inc()

    def _observe(self, bundle: _Bundle, record: RequestRecord) -> None:
        self._observe_duration(bundle, record)
        adders = bundle.adders
        timed = 0 if record.trace is None else len(_HISTOGRAMS)
        for index, (read, open_adder) in enumerate(self._fields):
            value = read(record)
            if value is not None:
                add = adders[index]
                if add is None:
                    add = adders[index] = open_adder(bundle.labels)
                if index < timed:
                    add(value, _exemplar(record, value))
                else:
                    add(value)
        if record.gaps is not None:
            self._merge_gaps(bundle, record.gaps, record)
        for reason in record.finish_reasons:
            self._count_finish_reason(bundle, reason)

    def _observe_duration(self, bundle: _Bundle, record: RequestRecord) -> None:
        error_type = self._guard.admit(ERROR_TYPE, record.error_type) if record.error_type else ""
        series = bundle.durations.get(error_type)
        if series is None:
            series = bundle.durations[error_type] = self._duration.series((*bundle.labels, error_type))
        series.observe(record.duration_seconds, _exemplar(record, record.duration_seconds))

    def _merge_gaps(self, bundle: _Bundle, gaps: GapHistogram, record: RequestRecord) -> None:
        series = bundle.gaps
        if series is None:
            series = bundle.gaps = self._gaps.series(bundle.labels)
        series.merge(rebin(gaps, self._gaps.bounds), gaps.total_seconds, _exemplar(record, gaps.longest_seconds))

    def _count_finish_reason(self, bundle: _Bundle, reason: str) -> None:
        reason = self._guard.admit(FINISH_REASON, reason)
        series = bundle.finish_reasons.get(reason)
        if series is None:
            series = bundle.finish_reasons[reason] = self._finish_reasons.series((*bundle.labels, reason))
        series.inc()

    def _build_fields(self) -> tuple[tuple[Callable[[Any], float | None], Callable[[_Labels], _Add]], ...]:
        """For each plain field of a record: how to read it, and how to open the series that it feeds."""
        histograms = [
            (attrgetter(field), lambda labels, family=family: family.series(labels).observe)
            for family, (_, field) in zip(self._histograms, _HISTOGRAMS, strict=True)
        ]
        tokens = [
            (attrgetter(field), lambda labels, kind=kind: self._tokens.series((*labels, kind)).observe)
            for kind, field in _TOKEN_TYPES
        ]
        counters = [
            (attrgetter(field), lambda labels, family=family: family.series(labels).inc)
            for family, (_, field) in zip(self._counters, _COUNTERS, strict=True)
        ]
        return (*histograms, *tokens, *counters)


def _exemplar(record: RequestRecord, value: float) -> Exemplar | None:
    """The link from a value to the trace of its request, where there is one that is sampled."""
    trace = record.trace
    if trace is None:
        return None
    return Exemplar(trace.trace_id, trace.span_id, value, record.started_at + record.duration_seconds)


def rebin(gaps: GapHistogram, bounds: Bounds) -> tuple[int, ...]:
    """Counts of `gaps` over `bounds`; where these differ, a gap counts as long as the upper bound of its bucket."""
    if gaps.bounds == bounds:
        return gaps.counts
    counts = [0] * (len(bounds) + 1)
    for upper, count in zip((*gaps.bounds, float("inf")), gaps.counts, strict=True):
        counts[bisect_left(bounds, upper)] += count
    return tuple(counts)

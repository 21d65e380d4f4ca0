"""Families about the sidecar itself: its version, who is connected, what failed, and how its collectors, its store and
its pushing by OpenTelemetry fare.

`snapshot` calls it at each scrape.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

from exporter.store.figures import DROP_REASONS, StoreStatus
from exporter.system.snapshot import CollectorStatus
from exporter.telemetry import catalog, pushed
from exporter.telemetry.catalog import Metric
from exporter.telemetry.sampled import Sampled, single
from exporter.telemetry.sources import Sources


def sidecar_families(sources: Sources, collectors: Collection[CollectorStatus]) -> Iterator[Sampled]:
    """Everything about ourselves that no instrument holds."""
    yield Sampled(catalog.SIDECAR_BUILD, [((sources.version, sources.python_version), 1)])
    yield _counts(catalog.SIDECAR_OPEN_CONNECTIONS, sources.open_connections())
    yield _counts(catalog.SIDECAR_SINK_ERRORS, sources.sink_errors)
    yield _counts(catalog.SIDECAR_PARSE_ERRORS, sources.parse_errors)
    yield _counts(catalog.SIDECAR_TASK_RESTARTS, sources.task_restarts)
    yield from _collectors(collectors, sources.clock())
    store = sources.store()
    if store is not None:
        yield from _store(store)
    push = sources.pushed()
    if push is not None:
        yield from _pushed(push)


def _counts(metric: Metric, counts: Mapping[str, int]) -> Sampled:
    # A copy: the mapping is live, and may grow while the scrape waits for the event loop.
    return Sampled(metric, [((name,), count) for name, count in counts.items()])


def _from_zero(names: Iterable[str], counts: Mapping[str, int]) -> Mapping[str, int]:
    """Each is shown from the start, so that an increase from nothing is seen."""
    return {**dict.fromkeys(names, 0), **counts}


def _collectors(collectors: Collection[CollectorStatus], now: float) -> Iterator[Sampled]:
    yield Sampled(catalog.SIDECAR_COLLECTOR_DURATION, (((each.name,), each.duration_seconds) for each in collectors))
    yield Sampled(catalog.SIDECAR_COLLECTOR_SUCCESS, (((each.name,), each.success) for each in collectors))
    yield Sampled(catalog.SIDECAR_SAMPLE_AGE, (((each.name,), _age(each, now)) for each in collectors))


def _age(collector: CollectorStatus, now: float) -> float | None:
    return None if collector.sampled_at is None else max(0.0, now - collector.sampled_at)


def _store(status: StoreStatus) -> Iterator[Sampled]:
    yield single(catalog.SIDECAR_STORE_UP, status.up)
    yield single(catalog.SIDECAR_STORE_QUEUE_LENGTH, status.queue_length)
    yield single(catalog.SIDECAR_STORE_QUEUE_LIMIT, status.queue_limit)
    yield single(catalog.SIDECAR_STORE_WRITTEN, status.written)
    yield _counts(catalog.SIDECAR_STORE_DROPPED, _from_zero(DROP_REASONS, status.dropped))
    yield single(catalog.SIDECAR_STORE_WRITE_TIME, status.write_seconds)
    yield single(catalog.SIDECAR_STORE_SIZE, status.size_bytes)


def _pushed(status: pushed.PushStatus) -> Iterator[Sampled]:
    yield _counts(catalog.SIDECAR_OTLP_EXPORTS, status.exports)
    yield _counts(catalog.SIDECAR_OTLP_EXPORT_FAILURES, _from_zero(status.exports, status.failures))
    yield single(catalog.SIDECAR_OTLP_EXPORTED_SPANS, status.spans_exported)
    if status.spans_dropped is not None:
        yield _counts(catalog.SIDECAR_OTLP_DROPPED_SPANS, _from_zero(pushed.DROP_REASONS, status.spans_dropped))
    yield single(catalog.SIDECAR_OTLP_QUEUE_LENGTH, status.queue_length)
    yield single(catalog.SIDECAR_OTLP_QUEUE_LIMIT, status.queue_limit)

"""Families about the sidecar itself: its version, who is connected, what failed, and how its collectors and its store
fare.

`snapshot` calls it at each scrape.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from exporter.store.figures import DROP_REASONS, StoreStatus
from exporter.system.snapshot import CollectorStatus
from exporter.telemetry import catalog
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


def _counts(metric: Metric, counts: Mapping[str, int]) -> Sampled:
    # A copy: the mapping is live, and may grow while the scrape waits for the event loop.
    return Sampled(metric, [((name,), count) for name, count in counts.items()])


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
    # Each reason is shown from the start, so that an increase from nothing is seen.
    yield _counts(catalog.SIDECAR_STORE_DROPPED, {**dict.fromkeys(DROP_REASONS, 0), **status.dropped})
    yield single(catalog.SIDECAR_STORE_WRITE_TIME, status.write_seconds)
    yield single(catalog.SIDECAR_STORE_SIZE, status.size_bytes)

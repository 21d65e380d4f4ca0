"""The collector of what is not fed request by request: the newest samples, in-flight requests, our own health.

`app` builds one `SnapshotFamilies` for the exposition. Nothing is measured at a scrape, only turned into families.
"""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import Metric as MetricFamily

from exporter.system.availability import count_models
from exporter.telemetry.machine import gpu_families, host_families, retrieval_families
from exporter.telemetry.mirror import mirrored_families
from exporter.telemetry.sampled import Sampled
from exporter.telemetry.servers import in_flight_family, server_families
from exporter.telemetry.sidecar import sidecar_families
from exporter.telemetry.sources import Sources


class SnapshotFamilies:
    """Makes the families anew at each scrape, one snapshot for all of them."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    def families(self) -> Iterator[Sampled]:
        """Every family; one without samples shows nothing."""
        sources = self._sources
        snapshot = sources.snapshot()
        servers = tuple(snapshot.servers.values())
        yield in_flight_family(sources.in_flight(), servers)
        availability = count_models(
            servers, sources.configured_models(), sources.out_of_rotation(), sources.recorded_availability()
        )
        yield from server_families(servers, availability)
        if snapshot.host is not None:
            yield from host_families(snapshot.host, sources.wall_clock())
        yield from gpu_families(snapshot.gpus)
        yield from retrieval_families(snapshot.index, snapshot.redis)
        yield from sidecar_families(sources, tuple(snapshot.collectors.values()))
        yield from mirrored_families(servers)

    def collect(self) -> Iterator[MetricFamily]:
        """The same in `prometheus_client`'s shape, for its registries."""
        for family in self.families():
            yield from family.collect()

"""Families made at the moment of a scrape from what was sampled before.

`machine`, `servers`, `mirror` and `sidecar` make them, `exposition` renders them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client.core import Metric as MetricFamily

from exporter.telemetry.catalog import Metric

Row = tuple[tuple[str, ...], float | None]
"""Label values in the order of the metric's labels, and the value; None is an absent sample."""


class Sampled:
    """One metric and its samples, which may be made while they are read: a `Sampled` can be read once."""

    __slots__ = ("_rows", "metric")

    def __init__(self, metric: Metric, rows: Iterable[Row]) -> None:
        self.metric = metric
        self._rows = rows

    def samples(self) -> Iterator[tuple[tuple[str, ...], float]]:
        """Every sample whose value is known."""
        for labels, value in self._rows:
            if value is not None:
                yield labels, value

    def collect(self) -> Iterator[MetricFamily]:
        """The family in `prometheus_client`'s shape; none when there are no samples."""
        metric = self.metric
        family = MetricFamily(metric.name, metric.help, metric.kind, metric.suffix_unit)
        for labels, value in self.samples():
            family.add_sample(metric.sample_name, dict(zip(metric.labels, labels, strict=True)), value)
        if family.samples:
            yield family


def single(metric: Metric, value: float | None) -> Sampled:
    """A family of one sample without labels."""
    return Sampled(metric, (((), value),))

"""What Prometheus makes of metrics that it is sent by OTLP, by the rules of its `otlptranslator`
(`UnderscoreEscapingWithSuffixes`, the default) and of its OTLP receiver.

The tests hold it against a scrape: both must show the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import accumulate
from typing import NamedTuple

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    AggregationTemporality,
    Exemplar,
    HistogramDataPoint,
    Metric,
    NumberDataPoint,
)

COUNTER, GAUGE, HISTOGRAM, UP_DOWN_COUNTER = "counter", "gauge", "histogram", "up-down counter"

UNITS = {
    "d": "days",
    "h": "hours",
    "min": "minutes",
    "s": "seconds",
    "ms": "milliseconds",
    "us": "microseconds",
    "ns": "nanoseconds",
    "By": "bytes",
    "KiBy": "kibibytes",
    "MiBy": "mebibytes",
    "GiBy": "gibibytes",
    "TiBy": "tibibytes",
    "KBy": "kilobytes",
    "MBy": "megabytes",
    "GBy": "gigabytes",
    "TBy": "terabytes",
    "m": "meters",
    "V": "volts",
    "A": "amperes",
    "J": "joules",
    "W": "watts",
    "g": "grams",
    "Cel": "celsius",
    "Hz": "hertz",
    "1": "",
    "%": "percent",
}
PER_UNITS = {"s": "second", "m": "minute", "h": "hour", "d": "day", "w": "week", "mo": "month", "y": "year"}


def metric_name(name: str, unit: str, kind: str) -> str:
    """The name of a metric; of a histogram's, without `_bucket`, `_count` and `_sum`."""
    words = re.findall(r"[a-zA-Z0-9:]+", name)
    for suffix in unit_suffixes(unit):
        if suffix and suffix not in words:
            words.append(suffix)
    last = {(COUNTER, unit): "total", (GAUGE, "1"): "ratio"}.get((kind, unit))
    if last:
        words = [*(word for word in words if word != last), last]
    translated = "_".join(words)
    return f"_{translated}" if translated[0].isdigit() else translated


def unit_suffixes(unit: str) -> tuple[str, str]:
    """`By/s` is `bytes` and `per_second`; what stands in braces is left out."""
    main, _, per = (part.strip() for part in unit.partition("/"))
    main = "" if re.search("[{}]", main) else UNITS.get(main, main)
    per = "" if re.search("[{}]", per) else PER_UNITS.get(per, per)
    main, per = (re.sub(r"[^a-zA-Z0-9:]+", "_", part).strip("_") for part in (main, per))
    return main, f"per_{per}" if per else ""


def label_name(attribute: str) -> str:
    """The label of an attribute."""
    translated = re.sub(r"[^a-zA-Z0-9]+", "_", attribute)
    return f"key_{translated}" if translated[0].isdigit() else translated


class Sample(NamedTuple):
    """Which sample."""

    name: str
    labels: frozenset[tuple[str, str]]


class Linked(NamedTuple):
    """An exemplar."""

    trace_id: str
    span_id: str
    value: float
    timestamp: float


@dataclass
class Translated:
    """What Prometheus has after an export. `le` is written as Python writes a number: Prometheus itself has 1.0 after a
    scrape and 1 after OTLP, which is the same to whoever reads it as a number."""

    types: dict[str, str] = field(default_factory=dict)
    """By name of metric."""
    values: dict[Sample, float] = field(default_factory=dict)
    starts: dict[Sample, float] = field(default_factory=dict)
    """UTC seconds since the epoch, where a start is given; of histograms, that of the count."""
    exemplars: dict[Sample, list[Linked]] = field(default_factory=dict)
    """By bucket."""

    def add(self, name: str, labels: dict[str, str], value: float, start: int = 0) -> Sample:
        """A second value for the same labels is an error: Prometheus would refuse it."""
        sample = Sample(name, frozenset(labels.items()))
        assert sample not in self.values, f"{sample} was sent twice"
        self.values[sample] = value
        if start:
            self.starts[sample] = start / 1e9
        return sample


def translate(request: ExportMetricsServiceRequest) -> Translated:
    """All samples of an export."""
    translated = Translated()
    for metric in metrics_of(request):
        _add_metric(translated, metric)
    return translated


def metrics_of(request: ExportMetricsServiceRequest) -> Iterator[Metric]:
    """All metrics of an export."""
    for resource in request.resource_metrics:
        for scope in resource.scope_metrics:
            yield from scope.metrics


def kind_of(metric: Metric) -> str:
    """The kind of instrument."""
    if metric.HasField("sum"):
        return COUNTER if metric.sum.is_monotonic else UP_DOWN_COUNTER
    return HISTOGRAM if metric.HasField("histogram") else GAUGE


def _add_metric(translated: Translated, metric: Metric) -> None:
    kind = kind_of(metric)
    name = metric_name(metric.name, metric.unit, kind)
    assert name not in translated.types, f"{name} was sent twice"
    translated.types[name] = GAUGE if kind == UP_DOWN_COUNTER else kind
    if kind == HISTOGRAM:
        assert metric.histogram.aggregation_temporality == AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
        for distribution in metric.histogram.data_points:
            _add_distribution(translated, name, distribution)
    elif kind == GAUGE:
        _add_numbers(translated, name, metric.gauge.data_points)
    else:
        assert metric.sum.aggregation_temporality == AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
        _add_numbers(translated, name, metric.sum.data_points)


def _add_numbers(translated: Translated, name: str, points: Iterable[NumberDataPoint]) -> None:
    for point in points:
        translated.add(name, labels_of(point.attributes), _number(point), point.start_time_unix_nano)


def _add_distribution(translated: Translated, name: str, point: HistogramDataPoint) -> None:
    labels = labels_of(point.attributes)
    les = [*map(str, point.explicit_bounds), "+Inf"]
    assert point.count == sum(point.bucket_counts)
    linked = list(_exemplars(point))
    for le, count in zip(les, accumulate(point.bucket_counts), strict=True):
        bucket = translated.add(f"{name}_bucket", {**labels, "le": le}, count)
        mine = [each for each in linked if each.value <= float(le)]
        if mine:
            translated.exemplars[bucket] = mine
            linked = linked[len(mine) :]
    translated.add(f"{name}_count", labels, point.count, point.start_time_unix_nano)
    if point.HasField("sum"):
        translated.add(f"{name}_sum", labels, point.sum)


def _exemplars(point: HistogramDataPoint) -> Iterator[Linked]:
    values = [_number(each) for each in point.exemplars]
    assert values == sorted(values), "Prometheus gives them to the buckets in this order"
    for each, value in zip(point.exemplars, values, strict=True):
        yield Linked(each.trace_id.hex(), each.span_id.hex(), value, each.time_unix_nano / 1e9)


def _number(point: NumberDataPoint | Exemplar) -> float:
    return point.as_int if point.HasField("as_int") else point.as_double


def labels_of(attributes: Iterable[KeyValue]) -> dict[str, str]:
    """The labels of a point; an empty one is none."""
    labels = {label_name(each.key): value_text(each.value) for each in attributes}
    return {name: value for name, value in labels.items() if value}


def value_text(value: AnyValue) -> str:
    """The value of an attribute as a label has it."""
    assert value.WhichOneof("value") in {"string_value", "int_value"}
    return value.string_value if value.HasField("string_value") else str(value.int_value)

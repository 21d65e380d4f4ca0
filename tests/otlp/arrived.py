"""What a receiver of OTLP got, as plain Python: spans and metrics, each with the resource and the scope that it came
with. `receiver` keeps the requests, and makes these of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

KINDS = ("unspecified", "internal", "server", "client", "producer", "consumer")
STATUSES = ("unset", "ok", "error")
TEMPORALITIES = ("unspecified", "delta", "cumulative")
SHAPES = ("sum", "gauge", "histogram", "exponential_histogram", "summary")

Attributes = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Arrived:
    """One request that was taken."""

    signal: str
    """`traces` or `metrics`."""
    transport: str
    """`http` or `grpc`."""
    path: str
    headers: Mapping[str, str]
    """Of HTTP the headers, of gRPC the metadata; names in lower case."""
    message: ExportTraceServiceRequest | ExportMetricsServiceRequest
    size: int
    """Bytes of the body as it came, compressed or not; 0 where gRPC does not say."""


@dataclass(frozen=True, slots=True)
class Event:
    """What happened within a span."""

    name: str
    attributes: Attributes
    time_ns: int


@dataclass(frozen=True, slots=True)
class Span:
    """One span; ids as lower-case hexadecimal, `""` for a parent that there is not."""

    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str
    trace_state: str
    attributes: Attributes
    events: tuple[Event, ...]
    links: tuple[tuple[str, str], ...]
    """Trace and span each."""
    status: str
    status_message: str
    start_ns: int
    end_ns: int
    flags: int
    resource: Attributes
    scope: str
    scope_version: str
    schema_url: str

    @property
    def seconds(self) -> float:
        """How long it took."""
        return (self.end_ns - self.start_ns) / 1e9


@dataclass(frozen=True, slots=True)
class Exemplar:
    """One measurement of many, and the span that it was made in."""

    value: float
    trace_id: str
    span_id: str
    attributes: Attributes
    time_ns: int


@dataclass(frozen=True, slots=True)
class Point:
    """One value of a metric, by its attributes."""

    attributes: Attributes
    start_ns: int
    time_ns: int
    value: float | None
    """Of a sum or a gauge; None for a histogram, as the fields below are for others."""
    count: int | None = None
    sum: float | None = None
    bounds: tuple[float, ...] | None = None
    bucket_counts: tuple[int, ...] | None = None
    exemplars: tuple[Exemplar, ...] = ()


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric of one export."""

    name: str
    unit: str
    description: str
    shape: str
    """One of `SHAPES`."""
    monotonic: bool
    temporality: str
    points: tuple[Point, ...]
    resource: Attributes
    scope: str
    scope_version: str
    schema_url: str

    def point(self, **attributes: Any) -> Point:
        """The only one whose attributes have these values; `_` in a name stands for `.`, too."""
        wanted = attributes.items()
        found = [
            each
            for each in self.points
            if all(
                {name.replace(".", "_"): value for name, value in each.attributes.items()}.get(k) == v
                for k, v in wanted
            )
        ]
        if len(found) != 1:
            raise LookupError(f"{self.name}{attributes}: {len(found)} points of {[p.attributes for p in self.points]}")
        return found[0]


def spans_of(request: ExportTraceServiceRequest) -> Iterator[Span]:
    """The spans of one request."""
    for of_resource in request.resource_spans:
        resource = read_attributes(of_resource.resource.attributes)
        for of_scope in of_resource.scope_spans:
            for span in of_scope.spans:
                yield Span(
                    name=span.name,
                    kind=KINDS[span.kind],
                    trace_id=span.trace_id.hex(),
                    span_id=span.span_id.hex(),
                    parent_id=span.parent_span_id.hex(),
                    trace_state=span.trace_state,
                    attributes=read_attributes(span.attributes),
                    events=tuple(
                        Event(event.name, read_attributes(event.attributes), event.time_unix_nano)
                        for event in span.events
                    ),
                    links=tuple((link.trace_id.hex(), link.span_id.hex()) for link in span.links),
                    status=STATUSES[span.status.code],
                    status_message=span.status.message,
                    start_ns=span.start_time_unix_nano,
                    end_ns=span.end_time_unix_nano,
                    flags=span.flags,
                    resource=resource,
                    scope=of_scope.scope.name,
                    scope_version=of_scope.scope.version,
                    schema_url=of_scope.schema_url,
                )


def metrics_of(request: ExportMetricsServiceRequest) -> Iterator[Metric]:
    """The metrics of one request."""
    for of_resource in request.resource_metrics:
        resource = read_attributes(of_resource.resource.attributes)
        for of_scope in of_resource.scope_metrics:
            for metric in of_scope.metrics:
                shape = next(each for each in SHAPES if metric.HasField(each))
                data: Any = getattr(metric, shape)
                yield Metric(
                    name=metric.name,
                    unit=metric.unit,
                    description=metric.description,
                    shape=shape,
                    monotonic=shape == "sum" and data.is_monotonic,
                    temporality=TEMPORALITIES[getattr(data, "aggregation_temporality", 0)],
                    points=tuple(_read_point(each, shape) for each in data.data_points),
                    resource=resource,
                    scope=of_scope.scope.name,
                    scope_version=of_scope.scope.version,
                    schema_url=of_scope.schema_url,
                )


def _read_point(point: Any, shape: str) -> Point:
    attributes = read_attributes(point.attributes)
    times = point.start_time_unix_nano, point.time_unix_nano
    if shape not in ("sum", "gauge"):
        return Point(
            attributes,
            *times,
            value=None,
            count=point.count,
            sum=point.sum if point.HasField("sum") else None,
            bounds=tuple(point.explicit_bounds) if shape == "histogram" else None,
            bucket_counts=tuple(point.bucket_counts) if shape == "histogram" else None,
            exemplars=tuple(_read_exemplars(getattr(point, "exemplars", ()))),
        )
    return Point(attributes, *times, value=_number(point), exemplars=tuple(_read_exemplars(point.exemplars)))


def _read_exemplars(exemplars: Iterable[Any]) -> Iterator[Exemplar]:
    for each in exemplars:
        ids = each.trace_id.hex(), each.span_id.hex()
        yield Exemplar(_number(each), *ids, read_attributes(each.filtered_attributes), each.time_unix_nano)


def _number(holder: Any) -> float:
    return float(holder.as_double if holder.WhichOneof("value") == "as_double" else holder.as_int)


def read_attributes(attributes: Sequence[Any]) -> Attributes:
    """`KeyValue` messages as a dict."""
    return {each.key: _read_value(each.value) for each in attributes}


def _read_value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    if kind == "array_value":
        return [_read_value(each) for each in value.array_value.values]
    if kind == "kvlist_value":
        return read_attributes(value.kvlist_value.values)
    return getattr(value, kind)

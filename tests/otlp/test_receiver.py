"""The receiver of OTLP: what it keeps, and how it fails."""

from __future__ import annotations

import gzip
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import httpx
import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, InstrumentationScope, KeyValue
from opentelemetry.proto.metrics.v1 import metrics_pb2
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1 import trace_pb2

from tests.otlp.__main__ import lines
from tests.otlp.receiver import GRPC, HTTP, SIGNALS, Failure, Receiver, trees

TRACES, METRICS = SIGNALS


def text(key: str, value: str) -> KeyValue:
    return KeyValue(key=key, value=AnyValue(string_value=value))


RESOURCE = Resource(attributes=[text("service.name", "test")])
SCOPE = InstrumentationScope(name="scope", version="1")


def spans(*spans: trace_pb2.Span) -> ExportTraceServiceRequest:
    of_scope = trace_pb2.ScopeSpans(scope=SCOPE, spans=spans, schema_url="https://schema")
    of_resource = trace_pb2.ResourceSpans(resource=RESOURCE, scope_spans=[of_scope])
    return ExportTraceServiceRequest(resource_spans=[of_resource])


def span(name: str = "chat", number: int = 1, parent: int = 0, **fields: Any) -> trace_pb2.Span:
    parent_id = bytes([parent] * 8) if parent else b""
    ids: dict[str, Any] = {"trace_id": b"\x0a" * 16, "span_id": bytes([number] * 8), "parent_span_id": parent_id}
    return trace_pb2.Span(name=name, **ids, **fields)


def post(receiver: Receiver, message: Any = None, **headers: str) -> httpx.Response:
    signal = METRICS if isinstance(message, ExportMetricsServiceRequest) else TRACES
    body = (message or spans(span())).SerializeToString()
    if headers.get("Content-Encoding") == "gzip":
        body = gzip.compress(body)
    return httpx.post(f"{receiver.endpoint}{signal.path}", content=body, headers=headers, timeout=5)


def call(receiver: Receiver, message: Any = None, **metadata: str) -> None:
    with grpc.insecure_channel(f"{receiver.host}:{receiver.port}", options=(("grpc.enable_http_proxy", 0),)) as channel:
        method = channel.unary_unary(
            f"/{TRACES.service}/Export",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=TRACES.response.FromString,
        )
        method(message or spans(span()), timeout=5, metadata=tuple(metadata.items()))


def send(receiver: Receiver) -> bool:
    """Whether it was taken."""
    if receiver.transport == HTTP:
        return post(receiver).status_code == 200
    try:
        call(receiver)
    except grpc.RpcError as error:
        if error.code() != grpc.StatusCode.UNAVAILABLE:
            raise
        return False
    return True


def test_spans_as_plain_python() -> None:
    event = trace_pb2.Span.Event(name="first_token", time_unix_nano=1_500_000_000, attributes=[text("a", "b")])
    whole = span(
        kind=trace_pb2.Span.SPAN_KIND_SERVER,
        parent=9,
        start_time_unix_nano=1_000_000_000,
        end_time_unix_nano=3_500_000_000,
        events=[event],
        status=trace_pb2.Status(code=trace_pb2.Status.STATUS_CODE_ERROR, message="broken"),
        attributes=[
            text("gen_ai.request.model", "tiny"),
            KeyValue(key="reasons", value=AnyValue(array_value=ArrayValue(values=[AnyValue(string_value="stop")]))),
            KeyValue(key="tokens", value=AnyValue(int_value=7)),
        ],
    )
    with Receiver() as receiver:
        answer = post(receiver, spans(whole), **{"X-Tenant": "a", "Content-Encoding": "gzip"})
        assert (answer.status_code, answer.headers["content-type"]) == (200, "application/x-protobuf")
        (arrived,), (got,) = receiver.requests, receiver.spans
    assert (arrived.transport, arrived.path, arrived.headers["x-tenant"]) == ("http", "/v1/traces", "a")
    assert arrived.headers["content-encoding"] == "gzip"
    assert (got.name, got.kind, got.status, got.status_message) == ("chat", "server", "error", "broken")
    assert (got.trace_id, got.span_id, got.parent_id) == ("0a" * 16, "01" * 8, "09" * 8)
    assert got.attributes == {"gen_ai.request.model": "tiny", "reasons": ["stop"], "tokens": 7}
    assert (got.events[0].name, got.events[0].attributes, got.seconds) == ("first_token", {"a": "b"}, 2.5)
    assert (got.resource, got.scope, got.scope_version) == ({"service.name": "test"}, "scope", "1")
    assert got.schema_url == "https://schema"
    assert "server     2500.00 ms  error  chat" in lines(arrived)[0]


def test_metrics_as_plain_python() -> None:
    counter = metrics_pb2.NumberDataPoint(as_int=3, attributes=[text("gen_ai.token.type", "input")], time_unix_nano=9)
    exemplar = metrics_pb2.Exemplar(as_double=0.2, trace_id=b"\x01" * 16, span_id=b"\x02" * 8)
    histogram = metrics_pb2.HistogramDataPoint(
        count=2, sum=0.5, explicit_bounds=[0.1], bucket_counts=[1, 1], exemplars=[exemplar]
    )
    cumulative = metrics_pb2.AGGREGATION_TEMPORALITY_CUMULATIVE
    metrics = [
        metrics_pb2.Metric(
            name="tokens",
            unit="{token}",
            sum=metrics_pb2.Sum(data_points=[counter], is_monotonic=True, aggregation_temporality=cumulative),
        ),
        metrics_pb2.Metric(name="ttft", unit="s", histogram=metrics_pb2.Histogram(data_points=[histogram])),
        metrics_pb2.Metric(
            name="up", gauge=metrics_pb2.Gauge(data_points=[metrics_pb2.NumberDataPoint(as_double=0.5)])
        ),
    ]
    of_scope = metrics_pb2.ScopeMetrics(scope=SCOPE, metrics=metrics)
    of_resource = metrics_pb2.ResourceMetrics(resource=RESOURCE, scope_metrics=[of_scope])
    with Receiver() as receiver:
        for _ in range(2):
            assert post(receiver, ExportMetricsServiceRequest(resource_metrics=[of_resource])).status_code == 200
        assert len(receiver.metrics) == 6
        latest = receiver.latest_metrics
        assert lines(receiver.requests[0]) == ["3 metrics with 3 points"]
    tokens, ttft = latest["tokens"], latest["ttft"].point()
    assert (tokens.shape, tokens.monotonic, tokens.temporality, tokens.unit) == ("sum", True, "cumulative", "{token}")
    assert tokens.point(gen_ai_token_type="input").value == 3
    with pytest.raises(LookupError, match="0 points"):
        tokens.point(gen_ai_token_type="output")
    assert (ttft.count, ttft.sum, ttft.bounds, ttft.bucket_counts) == (2, 0.5, (0.1,), (1, 1))
    assert (ttft.exemplars[0].value, ttft.exemplars[0].trace_id) == (0.2, "01" * 16)
    assert (latest["up"].shape, latest["up"].monotonic, latest["up"].point().value) == ("gauge", False, 0.5)


@pytest.mark.parametrize("transport", [HTTP, GRPC])
def test_failing_for_a_while_and_until_told(transport: str) -> None:
    with Receiver(transport) as receiver:
        receiver.fail(2)
        assert [send(receiver) for _ in range(3)] == [False, False, True]
        receiver.fail()
        assert [send(receiver) for _ in range(3)] == [False, False, False]
        receiver.recover()
        assert send(receiver)
        assert (len(receiver.spans), receiver.refused) == (2, 5)


def test_failing_in_another_way() -> None:
    with Receiver() as receiver:
        receiver.fail(1, Failure(429, headers=(("Retry-After", "7"),)))
        answer = post(receiver)
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "7")
        assert httpx.post(f"{receiver.endpoint}/v1/logs", content=b"").status_code == 404


@pytest.mark.parametrize("transport", [HTTP, GRPC])
def test_hanging_until_told(transport: str) -> None:
    with Receiver(transport) as receiver, ThreadPoolExecutor(1) as pool:
        receiver.hang()
        sending = pool.submit(send, receiver)
        receiver.wait_for(lambda: receiver.hanging == 1)
        assert receiver.spans == []
        receiver.recover()
        assert sending.result(5)
        assert len(receiver.wait_for_spans(1)) == 1


@pytest.mark.parametrize("transport", [HTTP, GRPC])
def test_away_and_back_on_the_same_port(transport: str) -> None:
    receiver = Receiver(transport)
    for _ in range(2):
        with receiver:
            assert send(receiver)
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", receiver.port)) != 0
    assert len(receiver.spans) == 2


def test_an_end_closes_connections_that_are_kept() -> None:
    with Receiver() as receiver, httpx.Client(base_url=receiver.endpoint) as client:
        body = spans(span()).SerializeToString()
        assert client.post("/v1/traces", content=body).status_code == 200
        receiver.stop()
        with pytest.raises(httpx.TransportError):
            client.post("/v1/traces", content=body)
        receiver.start()
        assert client.post("/v1/traces", content=body).status_code == 200
        assert len(receiver.spans) == 2


@pytest.mark.parametrize("transport", [HTTP, GRPC])
def test_an_end_lets_go_of_who_waits(transport: str) -> None:
    before = threading.active_count()
    with ThreadPoolExecutor(1) as pool:
        with Receiver(transport) as receiver:
            receiver.hang()
            sending = pool.submit(send, receiver)
            receiver.wait_for(lambda: receiver.hanging == 1)
        assert isinstance(sending.exception(5), httpx.TransportError) if transport == HTTP else not sending.result(5)
    receiver.wait_for(lambda: receiver.hanging == 0)
    assert threading.active_count() <= before + 1
    assert receiver.spans == []


def test_waiting_has_an_end() -> None:
    with Receiver() as receiver, pytest.raises(TimeoutError, match="0 requests taken"):
        receiver.wait_for_spans(1, timeout=0.1)


def test_the_tree_of_spans() -> None:
    family = [span("child", 2, 1, start_time_unix_nano=5), span("root", 1, start_time_unix_nano=2)]
    strange = span("strange", 3, 8, start_time_unix_nano=1)
    with Receiver() as receiver:
        post(receiver, spans(*family, strange, span("second child", 4, 1, start_time_unix_nano=7)))
        found = [(depth, each.name) for depth, each in trees(receiver.spans)]
    assert found == [(0, "strange"), (0, "root"), (1, "child"), (1, "second child")]

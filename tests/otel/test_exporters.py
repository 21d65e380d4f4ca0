"""Exporters by the environment, against a real receiver."""

from __future__ import annotations

import json
import logging
import os
import select
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from opentelemetry.sdk.metrics.export import ConsoleMetricExporter, MetricExporter, MetricExportResult
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SpanExporter, SpanExportResult

from exporter import config
from exporter.otel.exporters import metric_exporters, span_exporters
from exporter.otel.reasons import noting, quiet_libraries
from tests.otel.exports import environment, hasten, logged, loud_again, make_authority, make_certificate, metrics, spans
from tests.otlp.receiver import GRPC, HTTP, Failure, Receiver, Tls

BOTH = pytest.mark.parametrize("transport", [HTTP, GRPC])
TOKEN = "tok3n-of-the-tenant"


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    with loud_again():
        quiet_libraries()
        yield


class Sent(NamedTuple):
    """Whether each signal was taken, and why not."""

    spans: bool
    metrics: bool
    reasons: tuple[str, str]


def make(**variables: str) -> tuple[list[SpanExporter], list[MetricExporter]]:
    with environment(**variables):
        settings = config.load_otel()
        return span_exporters(settings.traces), metric_exporters(settings.metrics)


def send(**variables: str) -> Sent:
    """One span and one metric by the first exporters."""
    (of_spans, *_), (of_metrics, *_) = make(**variables)
    with noting() as spans_heard:
        taken = of_spans.export(spans()) is SpanExportResult.SUCCESS
    with noting() as metrics_heard:
        arrived = of_metrics.export(metrics()) is MetricExportResult.SUCCESS
    of_spans.shutdown()
    of_metrics.shutdown()
    return Sent(taken, arrived, (spans_heard.reason, metrics_heard.reason))


@BOTH
def test_both_signals_arrive(transport: str) -> None:
    with Receiver(transport) as receiver:
        assert send(**receiver.environment)[:2] == (True, True)
    (span,), (metric,) = receiver.spans, receiver.metrics
    assert (span.name, span.attributes, span.scope, span.resource["service.name"]) == (
        "span 0",
        {"number": 0},
        "scope",
        "test",
    )
    assert (metric.name, metric.point(kind="a").value, metric.temporality) == ("counter", 7, "cumulative")


@BOTH
def test_headers_and_compression(transport: str) -> None:
    more = {
        "OTEL_EXPORTER_OTLP_HEADERS": f"api-key={TOKEN},x-tenant=a%20b",
        "OTEL_EXPORTER_OTLP_METRICS_HEADERS": "only=metrics",
        "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
        "OTEL_EXPORTER_OTLP_METRICS_COMPRESSION": "none",
        "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE": "",
        "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT": " ",
        "OTEL_BSP_MAX_QUEUE_SIZE": "",
    }
    with Receiver(transport) as receiver:
        assert send(**receiver.environment, **more)[:2] == (True, True)
    of_spans, of_metrics = (each.headers for each in receiver.requests)
    assert (of_spans["api-key"], of_spans["x-tenant"]) == (TOKEN, "a b")
    assert (of_metrics["only"], "api-key" in of_metrics) == ("metrics", False)
    if transport == HTTP:
        assert (of_spans["content-encoding"], of_metrics.get("content-encoding")) == ("gzip", None)
        assert of_spans["content-type"] == "application/x-protobuf"


def test_what_is_compressed_by_grpc_is_smaller() -> None:
    """The receiver is not told whether it was."""
    sizes = []
    for compression in ("none", "gzip"):
        with Receiver(GRPC) as receiver, Relay(receiver.port) as relay:
            on_the_way = {**receiver.environment, "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{relay.port}"}
            traces = {"OTEL_METRICS_EXPORTER": "none", "OTEL_EXPORTER_OTLP_COMPRESSION": compression}
            (exporter,), _ = make(**on_the_way, **traces)
            assert exporter.export(spans(300)) is SpanExportResult.SUCCESS
            sizes.append(relay.bytes)
            exporter.shutdown()
    assert sizes[1] < sizes[0] * 0.7


class Relay:
    """Stands before a port, and counts the bytes that go there."""

    def __init__(self, port: int) -> None:
        self.bytes = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._there = socket.create_connection(("127.0.0.1", port))
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> Relay:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._thread.join(5)
        self._listener.close()

    def _serve(self) -> None:
        """One connection, until one side ends it."""
        with self._listener.accept()[0] as here, self._there:
            other = {here: self._there, self._there: here}
            while True:
                for each in select.select(list(other), [], [], 5)[0]:
                    data = each.recv(65536)
                    if not data:
                        return
                    self.bytes += len(data) if each is here else 0
                    other[each].sendall(data)


def test_a_path_of_its_own() -> None:
    with Receiver() as receiver:
        sent = send(
            OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=f"{receiver.endpoint}/v1/traces",
            OTEL_EXPORTER_OTLP_ENDPOINT=f"{receiver.endpoint}/elsewhere",
        )
        assert sent == Sent(True, False, ("unknown", "HTTP 404 (Not Found)"))
        assert [each.path for each in receiver.requests] == ["/v1/traces"]


@BOTH
def test_milliseconds_of_patience(transport: str) -> None:
    with Receiver(transport) as receiver:
        receiver.hang()
        began = time.monotonic()
        sent = send(**receiver.environment, OTEL_EXPORTER_OTLP_TIMEOUT="300")
        assert 0.5 < time.monotonic() - began < 4
    assert sent[:2] == (False, False)
    assert set(sent.reasons) <= {"timed out", "gRPC DEADLINE_EXCEEDED"}


@BOTH
def test_trying_again(transport: str, monkeypatch: pytest.MonkeyPatch) -> None:
    hasten(monkeypatch, 0.01)
    with Receiver(transport) as receiver:
        receiver.fail(2)
        assert send(**receiver.environment)[:2] == (True, True)
        assert (receiver.refused, len(receiver.spans), len(receiver.metrics)) == (2, 1, 1)


@BOTH
def test_what_is_not_tried_again(transport: str) -> None:
    import grpc  # noqa: PLC0415

    refusal = Failure(401, grpc.StatusCode.UNAUTHENTICATED)
    with Receiver(transport) as receiver:
        receiver.fail(failure=refusal)
        sent = send(**receiver.environment)
    expected = "HTTP 401 (Unauthorized)" if transport == HTTP else "gRPC UNAUTHENTICATED"
    assert sent == Sent(False, False, (expected, expected))
    assert receiver.refused == 2


@BOTH
def test_nobody_listens(transport: str) -> None:
    receiver = Receiver(transport)
    reasons = send(**receiver.environment, OTEL_EXPORTER_OTLP_TIMEOUT="700").reasons
    assert set(reasons) <= {"connection refused", "gRPC UNAVAILABLE (connection refused)"}


def test_a_redirection_is_no_success() -> None:
    with Receiver() as receiver:
        receiver.fail(failure=Failure(308, headers=(("Location", "https://elsewhere.invalid/"),)))
        sent = send(**receiver.environment)
    reason = "HTTP 308 (Permanent Redirect)"
    assert sent == Sent(False, False, (reason, reason))


# TLS


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tls")


@pytest.fixture(scope="module")
def authority(folder: Path) -> Tls:
    return make_authority(folder)


@pytest.fixture(scope="module")
def certificate(folder: Path, authority: Tls) -> Tls:
    return make_certificate(folder, "localhost", authority)


@BOTH
def test_tls(transport: str, authority: Tls, certificate: Tls) -> None:
    with Receiver(transport, tls=certificate) as receiver:
        trusted = {"OTEL_EXPORTER_OTLP_CERTIFICATE": str(authority.certificate)}
        insecure = {"OTEL_EXPORTER_OTLP_INSECURE": "true"}  # what the scheme says is more
        assert send(**receiver.environment, **trusted, **insecure)[:2] == (True, True)
        assert len(receiver.spans) == 1


@BOTH
def test_who_is_not_trusted(transport: str, certificate: Tls, folder: Path) -> None:
    stranger = make_authority(folder, "stranger")
    trusted = {"OTEL_EXPORTER_OTLP_CERTIFICATE": str(stranger.certificate), "OTEL_EXPORTER_OTLP_TIMEOUT": "700"}
    with Receiver(transport, tls=certificate) as receiver:
        sent = send(**receiver.environment, **trusted)
        assert (sent[:2], receiver.requests) == ((False, False), [])
    for reason in sent.reasons:
        assert "certificate" in reason
        assert "localhost" not in reason


@BOTH
def test_a_certificate_of_our_own(transport: str, authority: Tls, certificate: Tls, folder: Path) -> None:
    ours = make_certificate(folder, "ours", authority)
    shown = {
        "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": str(ours.certificate),
        "OTEL_EXPORTER_OTLP_CLIENT_KEY": str(ours.key),
    }
    trusted = {"OTEL_EXPORTER_OTLP_CERTIFICATE": str(authority.certificate)}
    asking = Tls(certificate.certificate, certificate.key, clients=authority.certificate)
    with Receiver(transport, tls=asking) as receiver:
        assert send(**receiver.environment, **trusted, **shown)[:2] == (True, True)
        assert send(**receiver.environment, **trusted, OTEL_EXPORTER_OTLP_TIMEOUT="300")[:2] == (False, False)
        assert len(receiver.spans) == 1


def test_whom_others_trust_does_not_matter(certificate: Tls, authority: Tls, folder: Path) -> None:
    stranger = make_authority(folder, "bundle")
    trusted = {"OTEL_EXPORTER_OTLP_CERTIFICATE": str(authority.certificate)}
    with Receiver(tls=certificate) as receiver, environment(**receiver.environment, **trusted):
        settings = config.load_otel()
        os.environ["REQUESTS_CA_BUNDLE"] = str(stranger.certificate)
        (exporter,) = span_exporters(settings.traces)
        assert exporter.export(spans()) is SpanExportResult.SUCCESS
        exporter.shutdown()


# Others


def test_the_console(capsys: pytest.CaptureFixture[str]) -> None:
    (of_spans,), (of_metrics,) = make(OTEL_TRACES_EXPORTER="console", OTEL_METRICS_EXPORTER="console")
    assert of_spans.export(spans()) is SpanExportResult.SUCCESS
    assert json.loads(capsys.readouterr().out)["name"] == "span 0"
    assert of_metrics.export(metrics()) is MetricExportResult.SUCCESS
    assert (
        "counter"
        in json.loads(capsys.readouterr().out)["resource_metrics"][0]["scope_metrics"][0]["metrics"][0]["name"]
    )


def test_several_at_once_and_none() -> None:
    of_spans, of_metrics = make(OTEL_TRACES_EXPORTER="console,otlp", OTEL_METRICS_EXPORTER="prometheus")
    assert [type(each).__name__ for each in of_spans] == ["OTLPSpanExporter", "ConsoleSpanExporter"]
    assert isinstance(of_spans[1], ConsoleSpanExporter)
    assert of_metrics == []
    of_spans, of_metrics = make(OTEL_METRICS_EXPORTER="logging")
    assert of_spans == []
    assert isinstance(of_metrics[0], ConsoleMetricExporter)


@BOTH
def test_nothing_secret_is_logged(transport: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """At any level: the libraries quote errors, and those quote addresses."""
    hasten(monkeypatch, 0.01)
    secret = {"OTEL_EXPORTER_OTLP_HEADERS": f"authorization=Bearer {TOKEN}", "OTEL_EXPORTER_OTLP_TIMEOUT": "400"}
    with logged(logging.DEBUG) as lines, Receiver(transport) as receiver:
        quiet_libraries()
        address = receiver.environment
        if transport == HTTP:
            base = receiver.endpoint.replace("http://", f"http://user:{TOKEN}@")
            ways = ("traces", "metrics")
            address = {f"OTEL_EXPORTER_OTLP_{way.upper()}_ENDPOINT": f"{base}/v1/{way}?key={TOKEN}" for way in ways}
        receiver.fail(2)
        send(**address, **secret)
        receiver.stop()
        send(**address, **secret)
    assert len(lines) >= 3
    assert TOKEN not in str([(line.getMessage(), line.exc_info) for line in lines])
    assert {line.levelno for line in lines} == {logging.DEBUG}


def test_what_libraries_say_is_not_shown() -> None:
    receiver = Receiver()
    with logged(logging.INFO) as lines:
        quiet_libraries()
        send(**receiver.environment, OTEL_EXPORTER_OTLP_TIMEOUT="700")
    assert lines == []

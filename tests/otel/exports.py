"""What tests of pushing push: spans and metrics; the environment that says where; and files for TLS."""

from __future__ import annotations

import contextlib
import logging
import os
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Metric,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from exporter import config
from exporter.otel.reasons import CONNECTIONS, LIBRARIES, Quiet
from exporter.settings.otel import OtelSettings
from tests.otlp.receiver import Tls

RESOURCE = Resource({"service.name": "test"})
PROXIES = ("http_proxy", "https_proxy", "all_proxy", "grpc_proxy", "no_proxy", "requests_ca_bundle", "curl_ca_bundle")


def spans(number: int = 1, *, sampled: bool = True) -> list[ReadableSpan]:
    """So many finished spans, each the root of its trace."""
    sampler = ALWAYS_ON if sampled else ALWAYS_OFF
    tracer = TracerProvider(sampler=sampler, resource=RESOURCE, shutdown_on_exit=False).get_tracer("scope", "1")
    made = [tracer.start_span(f"span {each}", attributes={"number": each}) for each in range(number)]
    for span in made:
        span.end()
    return [span for span in made if isinstance(span, ReadableSpan)]


def metrics(value: int = 7) -> MetricsData:
    """One counter with one point."""
    point = NumberDataPoint(attributes={"kind": "a"}, start_time_unix_nano=1, time_unix_nano=2, value=value)
    counter = Sum([point], AggregationTemporality.CUMULATIVE, is_monotonic=True)
    scope = ScopeMetrics(InstrumentationScope("scope"), [Metric("counter", "what it counts", "1", counter)], "")
    return MetricsData([ResourceMetrics(RESOURCE, [scope], "")])


@contextlib.contextmanager
def environment(**variables: str) -> Iterator[None]:
    """These variables of OpenTelemetry and no others; `load_otel` may change them. As it was, afterwards."""
    before = dict(os.environ)
    for name in before:
        if name.startswith("OTEL_") or name.lower() in PROXIES:
            del os.environ[name]
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def load(**variables: str) -> OtelSettings:
    """What `load_otel` makes of these variables."""
    with environment(**variables):
        return config.load_otel()


def hasten(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Have exporters try again after so long, then after twice that, and so on. They would begin with a second, give or
    take a fifth of it, which they draw."""
    monkeypatch.setattr(random, "uniform", lambda *_: seconds)


@contextlib.contextmanager
def loud_again() -> Iterator[None]:
    """Undoes, at the end, what `quiet_libraries` has done."""
    names = [*LIBRARIES, CONNECTIONS]
    before = {name: (logging.getLogger(name).level, logging.getLogger(name).propagate) for name in names}
    try:
        yield
    finally:
        for name, (level, propagate) in before.items():
            logger = logging.getLogger(name)
            logger.setLevel(level)
            logger.propagate = propagate
            logger.handlers = [handler for handler in logger.handlers if not isinstance(handler, Quiet)]


class _Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record)


@contextlib.contextmanager
def logged(level: int = logging.INFO) -> Iterator[list[logging.LogRecord]]:
    """What an operator would see. (`caplog` hears loggers that do not pass on to the root, too.)"""
    root, handler = logging.getLogger(), _Lines()
    before = root.level
    root.addHandler(handler)
    root.setLevel(level)
    try:
        yield handler.lines
    finally:
        root.setLevel(before)
        root.removeHandler(handler)


CURVE = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"


def make_authority(folder: Path, name: str = "authority") -> Tls:
    """A certificate that can vouch for others, and its key."""
    certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
    _openssl(f"req -x509 {CURVE} -subj /CN={name} -keyout {key} -out {certificate}")
    return Tls(certificate, key)


def make_certificate(folder: Path, name: str, authority: Tls) -> Tls:
    """A certificate for `localhost` that the authority vouches for, and its key."""
    certificate, key, wanted = (folder / f"{name}.{ending}" for ending in ("pem", "key", "csr"))
    _openssl(f"req -new {CURVE.removesuffix(' -days 2')} -subj /CN=localhost -keyout {key} -out {wanted}")
    names = folder / "names"
    names.write_text("subjectAltName=DNS:localhost")
    _openssl(
        f"x509 -req -in {wanted} -CA {authority.certificate} -CAkey {authority.key} -CAcreateserial -days 2"
        f" -extfile {names} -out {certificate}"
    )
    return Tls(certificate, key)


def _openssl(arguments: str) -> None:
    subprocess.run(["openssl", *arguments.split()], check=True, capture_output=True)

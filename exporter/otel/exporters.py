"""Makes the exporters that the settings ask for: OTLP over HTTP or gRPC, and the console. `delivery` counts what they
do.

Endpoints and headers they read from the environment themselves; `config.load_otel` has looked over these, the files
for TLS, and whether the extra for gRPC is there.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from opentelemetry.sdk.metrics.export import ConsoleMetricExporter, MetricExporter
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SpanExporter

from exporter.settings.otel import CONSOLE, GRPC, OTLP, SignalSettings, TlsFiles


def span_exporters(settings: SignalSettings) -> list[SpanExporter]:
    """Those for traces, OTLP first."""
    exporters: list[SpanExporter] = []
    if OTLP in settings.exporters:
        exporters.append(_otlp_spans(settings))
    if CONSOLE in settings.exporters:
        exporters.append(ConsoleSpanExporter(out=sys.stdout))
    return exporters


def metric_exporters(settings: SignalSettings) -> list[MetricExporter]:
    """Those for metrics, OTLP first."""
    exporters: list[MetricExporter] = []
    if OTLP in settings.exporters:
        exporters.append(_otlp_metrics(settings))
    if CONSOLE in settings.exporters:
        exporters.append(ConsoleMetricExporter(out=sys.stdout))
    return exporters


def _otlp_spans(settings: SignalSettings) -> SpanExporter:
    if settings.protocol == GRPC:
        options = _grpc_options(settings)
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcSpans  # noqa: PLC0415

        return GrpcSpans(**options)
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415

    return OTLPSpanExporter(**_http_options(settings))


def _otlp_metrics(settings: SignalSettings) -> MetricExporter:
    if settings.protocol == GRPC:
        options = _grpc_options(settings)
        from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import (  # noqa: PLC0415
            OTLPMetricExporter as GrpcMetrics,
        )

        return GrpcMetrics(**options)
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter  # noqa: PLC0415

    return OTLPMetricExporter(**_http_options(settings))


def _http_options(settings: SignalSettings) -> dict[str, Any]:
    from opentelemetry.exporter.otlp.proto.http import Compression  # noqa: PLC0415

    from exporter.otel.session import Session  # noqa: PLC0415 - it loads an HTTP library that gRPC does without

    return {
        "timeout": settings.timeout_seconds,
        "compression": Compression(settings.compression),
        "session": None if settings.own_session else Session(),
    }


def _grpc_options(settings: SignalSettings) -> dict[str, Any]:
    """Unlike the exporters over HTTP, those over gRPC do not know all of the specification: that `none` is a
    compression, that a scheme says whether it is encrypted whatever else is said, and that there can be a client's
    certificate without one of an authority."""
    import grpc  # noqa: PLC0415 - of an extra
    from opentelemetry.exporter.otlp.proto.grpc import exporter  # noqa: PLC0415

    exporter.logger.filters.clear()  # It says nothing twice within 20 seconds, and then nobody would hear the reason.
    credentials = None
    if settings.tls is not None and settings.tls != TlsFiles():
        pems = settings.tls.certificate, settings.tls.client_key, settings.tls.client_certificate
        credentials = grpc.ssl_channel_credentials(*(Path(pem).read_bytes() if pem else None for pem in pems))
    return {
        "timeout": settings.timeout_seconds,
        "compression": grpc.Compression.Gzip if settings.compression == "gzip" else grpc.Compression.NoCompression,
        "insecure": settings.tls is None,
        "credentials": credentials,
    }

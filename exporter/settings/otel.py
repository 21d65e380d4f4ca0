"""What the standard `OTEL_...` variables say, as far as this program heeds them. `config.load_otel` reads them.

They are no part of `Settings`: everything else that people run is told by the same variables, and nothing else may
contradict them.
"""

from __future__ import annotations

from dataclasses import dataclass

OTLP = "otlp"
CONSOLE = "console"
HTTP_PROTOBUF = "http/protobuf"
GRPC = "grpc"


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files, all of which can be read; empty where nothing is said."""

    certificate: str = ""
    """Of whoever vouches for the receiver; empty: those whom everyone trusts."""
    client_certificate: str = ""
    """What we show the receiver."""
    client_key: str = ""


@dataclass(frozen=True, slots=True)
class SignalSettings:
    """Where one signal goes: traces, or metrics."""

    exporters: frozenset[str] = frozenset()
    """`otlp`, `console`, or both; empty: the signal is off."""
    protocol: str = HTTP_PROTOBUF
    """Of OTLP: `http/protobuf` or `grpc`."""
    endpoint: str = ""
    """Of OTLP, for people to read: without user, password and query."""
    timeout_seconds: float = 10.0
    """For one export over OTLP, its repetitions included. (The variables give milliseconds, as the specification of
    OpenTelemetry has it; Python's own exporters would take them for seconds.)"""
    compression: str = "none"
    """Of OTLP: `none`, `gzip`, or `deflate`."""
    tls: TlsFiles | None = None
    """Of OTLP; None where it is not encrypted."""
    own_session: bool = False
    """Whether a package of the operator's makes the connections of OTLP over HTTP, for it knows how to sign on
    (`OTEL_PYTHON_EXPORTER_OTLP_HTTP_CREDENTIAL_PROVIDER`)."""


@dataclass(frozen=True, slots=True)
class OtelSettings:
    """Everything that is heeded, but for what the libraries read by themselves: endpoints, headers, resource, sampler,
    limits of spans, propagators."""

    traces: SignalSettings = SignalSettings()
    metrics: SignalSettings = SignalSettings()
    metrics_interval_seconds: float = 60.0
    """Between two pushes of metrics."""
    sampled_share: float = 1.0
    """Of the traces that begin here, the share that the sampler takes."""
    queue_spans: int = 2048
    """Spans that wait to be exported; what comes beyond that is dropped, and counted."""
    batch_spans: int = 512
    """Spans of one export, at most."""
    batch_delay_seconds: float = 5.0
    """Between two exports of spans, at most."""
    capture_content: bool = False
    """Whether spans carry prompts and answers."""
    latest_names: bool = False
    """Whether metrics that are pushed have the names that follow v1.41.0 of the GenAI conventions."""

    @property
    def on(self) -> bool:
        """Whether anything is pushed at all."""
        return bool(self.traces.exporters or self.metrics.exporters)

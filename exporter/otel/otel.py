"""All of OpenTelemetry: who it is, what is traced, what is pushed, and how that fares.

`app` makes one where the standard variables ask for traces or metrics, and is the only one to import this package.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence

import httpx
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider

from exporter import __version__
from exporter.otel.delivery import BoundedSpans, Delivery, open_delivery
from exporter.otel.points import Conversion, Starts
from exporter.otel.push import MetricsPush
from exporter.otel.resource import SCHEMA_URL, SERVICE, make_resource
from exporter.otel.roots import Roots
from exporter.otel.tracing import Tracing, end_span
from exporter.otel.transport import TracedTransport
from exporter.record import Sink
from exporter.routing.upstream import Upstream
from exporter.settings.otel import OtelSettings, SignalSettings
from exporter.telemetry.exposition import FamilySource
from exporter.telemetry.pushed import PushStatus

log = logging.getLogger(__name__)


class OpenTelemetry:
    """Traces, pushed metrics, or both."""

    def __init__(self, settings: OtelSettings, instance: str, upstreams: Iterable[Upstream]) -> None:
        """`instance` tells sidecars apart."""
        self._settings = settings
        self._resource = make_resource(instance)
        self._delivery: Delivery = open_delivery(settings)
        self._provider: TracerProvider | None = None
        self._push: MetricsPush | None = None
        self.tracing: Tracing | None = None
        """For the traffic path; None where only metrics are pushed."""
        self.sink: Sink | None = None
        """Ends the spans of finished requests; None as well."""
        if self._delivery.spans is not None:
            roots = Roots(settings.sampled_share)
            self._provider = make_provider(self._resource, roots, self._delivery.spans)
            tracer = self._provider.get_tracer(SERVICE, __version__, SCHEMA_URL)
            self.tracing = Tracing(tracer, upstreams, roots, capture_content=settings.capture_content)
            self.sink = end_span

    def wrap(self, transport: httpx.AsyncBaseTransport) -> httpx.AsyncBaseTransport:
        """The transport of the traffic path, with a span for each attempt."""
        return transport if self._provider is None else TracedTransport(transport, self._provider)

    def push(self, sources: Sequence[FamilySource], boot_time: Callable[[], float | None]) -> None:
        """Push these metrics too, where that is wanted. `boot_time` is the host's, in UTC seconds since the epoch; None
        while it is not known."""
        exporter = self._delivery.metrics
        if exporter is not None:
            starts = Starts(time.time(), boot_time)
            self._push = MetricsPush(
                Conversion(sources, self._resource, starts, latest_names=self._settings.latest_names),
                exporter,
                interval_seconds=self._settings.metrics_interval_seconds,
            )

    @property
    def work(self) -> dict[str, Callable[[], Awaitable[None]]]:
        """What runs in the background, by name."""
        return {} if self._push is None else {"otel_metrics": self._push.run}

    def status(self) -> PushStatus:
        """How pushing fares."""
        return self._delivery.status()

    def announce(self) -> None:
        """Say in the log what goes where."""
        for signal, settings in (("traces", self._settings.traces), ("metrics", self._settings.metrics)):
            if settings.exporters:
                log.info("pushing %s", signal, extra=_place(settings))
        if self._settings.capture_content:
            log.warning("prompts and answers go into traces: OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT is set")

    async def close(self) -> None:
        """Send what is left, in three seconds at most. The work must have ended."""
        ends = [self._delivery.close()]
        if self._push is not None:
            ends.append(self._push.close())
        await asyncio.gather(*ends)


def make_provider(resource: Resource, roots: Roots, spans: BoundedSpans) -> TracerProvider:
    """The SDK's provider, with the sampler of the environment. It ends when `Delivery` does."""
    provider = TracerProvider(resource=resource, id_generator=roots, shutdown_on_exit=False)
    provider.add_span_processor(spans)
    return provider


def _place(settings: SignalSettings) -> dict[str, object]:
    exporters = sorted(settings.exporters)
    if not settings.endpoint:
        return {"exporters": exporters}
    return {"exporters": exporters, "endpoint": settings.endpoint, "protocol": settings.protocol}

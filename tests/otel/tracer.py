"""A real SDK that keeps its spans in memory, around a proxy of the tests."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator, Sequence
from typing import Any

import httpx
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import DEFAULT_ON, Sampler

from exporter.otel.resource import SCHEMA_URL
from exporter.routing.upstream import Upstream
from tests.proxy.harness import Proxy, running_proxy

os.environ.setdefault("OTEL_SEMCONV_STABILITY_OPT_IN", "http")  # before the instrumentation is first used

from exporter.otel.roots import Roots
from exporter.otel.tracing import Tracing, end_span
from exporter.otel.transport import TracedTransport


class Traced:
    """A proxy, and the spans of its requests."""

    def __init__(self, proxy: Proxy, exporter: InMemorySpanExporter) -> None:
        self.proxy = proxy
        self._exporter = exporter

    async def spans(self, requests: int = 1) -> list[ReadableSpan]:
        """Every span, after so many records: the requests' own, then those of the attempts, by their start."""
        for record in await self.proxy.until_records(requests):
            end_span(record)
        return self.finished()

    def finished(self) -> list[ReadableSpan]:
        """Every span that was ended, in this order."""
        return sorted(self._exporter.get_finished_spans(), key=lambda span: (span.name == "POST", span.start_time or 0))

    async def only(self) -> tuple[ReadableSpan, list[ReadableSpan]]:
        """The span of the one request that was made, and those of its attempts."""
        first, *rest = await self.spans()
        assert all(child.parent is not None and child.parent == first.context for child in rest)
        return first, rest


@contextlib.asynccontextmanager
async def traced_proxy(
    *urls: str, sampler: Sampler = DEFAULT_ON, share: float = 1.0, capture_content: bool = False, **more: Any
) -> AsyncIterator[Traced]:
    """A proxy whose requests are traced. `share` is what the sampler takes of the traces that begin here."""
    exporter = InMemorySpanExporter()
    roots = Roots(share)
    provider = TracerProvider(sampler=sampler, id_generator=roots, shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    upstreams = [Upstream(f"u{number}", httpx.URL(url)) for number, url in enumerate(urls, 1)]
    tracing = Tracing(provider.get_tracer("test", "1", SCHEMA_URL), upstreams, roots, capture_content=capture_content)
    async with running_proxy(
        *urls, tracing=tracing, around=lambda transport: TracedTransport(transport, provider), **more
    ) as proxy:
        yield Traced(proxy, exporter)


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def events(span: ReadableSpan) -> Sequence[tuple[str, dict[str, Any]]]:
    return [(event.name, dict(event.attributes or {})) for event in span.events]

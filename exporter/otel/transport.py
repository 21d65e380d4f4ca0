"""Carries a request's span to its upstream: its context in the header fields, and beneath it a client span for each
attempt, which is that of OpenTelemetry's instrumentation of httpx.

`app` puts it around the transport of the traffic path. A request whose trace is not sampled is spared the
instrumentation, which would take a hundred microseconds to record nothing.
"""

from __future__ import annotations

import logging

import httpx
from opentelemetry import context as current
from opentelemetry import propagate
from opentelemetry.instrumentation.httpx import AsyncOpenTelemetryTransport, RequestInfo
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.trace import Span, TracerProvider

from exporter.otel.spans import OWN
from exporter.otel.tracing import RequestSpan

log = logging.getLogger(__name__)


class _Way(httpx.AsyncBaseTransport):
    """Notes that the instrumentation has let a request pass."""

    def __init__(self, transport: httpx.AsyncBaseTransport) -> None:
        self._transport = transport

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        request.extensions["trace"].sent += 1
        return await self._transport.handle_async_request(request)


class TracedTransport(httpx.AsyncBaseTransport):
    """Adds spans to another transport. `request.extensions["trace"]` is the request's span, or None."""

    def __init__(self, transport: httpx.AsyncBaseTransport, provider: TracerProvider) -> None:
        self._transport = transport
        # It would measure durations, too; they are in our own metrics.
        self._traced = AsyncOpenTelemetryTransport(
            _Way(transport), provider, meter_provider=NoOpMeterProvider(), request_hook=_describe
        )
        self._has_failed = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """See `httpx.AsyncBaseTransport`."""
        span = request.extensions["trace"]
        if not isinstance(span, RequestSpan):
            return await self._transport.handle_async_request(request)
        for name in span.stale:  # by W3C Trace Context, a state goes with its parent
            request.headers.pop(name, None)
        # A sampled one's attempt puts its own in the place of it, unless its URL is excluded from instrumentation.
        propagate.inject(request.headers, span.context)
        if not span.sampled:
            return await self._transport.handle_async_request(request)
        request.url = with_path(request.url, request.extensions["exchange"].target)
        token, sent = current.attach(span.context), span.sent
        try:
            return await self._traced.handle_async_request(request)
        except Exception:
            if span.sent > sent:
                raise
            self._note_failure()
        finally:
            current.detach(token)
        return await self._transport.handle_async_request(request)

    def _note_failure(self) -> None:
        if not self._has_failed:
            self._has_failed = True
            log.exception("an attempt could not be traced; it is made all the same, and so are later ones")

    async def aclose(self) -> None:
        """See `httpx.AsyncBaseTransport`."""
        await self._transport.aclose()


async def _describe(span: Span, info: RequestInfo) -> None:
    """Which upstream, and the how manieth try."""
    extensions = info.extensions or {}
    span.set_attribute(f"{OWN}.upstream", extensions["upstream"])
    sent = extensions["trace"].sent
    if sent:
        span.set_attribute("http.request.resend_count", sent)


def with_path(url: httpx.URL, target: bytes) -> httpx.URL:
    """What a client span shows as its URL. The query is left out: a client may have put a secret into it. Not every
    target that passes can be part of a URL."""
    path = target.partition(b"?")[0]
    try:
        return url.copy_with(raw_path=path) if path.startswith(b"/") else url
    except httpx.InvalidURL:
        return url

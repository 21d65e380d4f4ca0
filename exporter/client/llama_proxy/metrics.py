"""`client.metrics`: the figures that the sidecar sends by itself, one after another."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime

from exporter.client.llama_proxy.documents import Document, read
from exporter.client.llama_proxy.exchange import Exchange
from exporter.client.llama_proxy.polling import LostError, Session

NAMESPACE = "/metrics"
EVENT = "metrics:update"


@dataclass(frozen=True, slots=True)
class Metrics(Document):
    """The figures of a moment; None is what is not known."""

    timestamp: datetime
    cpu: float | None
    memory: float | None
    gpu: float | None
    """Per cent, all three; None without a GPU."""
    requests: int | None


class MetricsStream:
    """What `client.metrics` is."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def stream(self, interval: float | None = None) -> Generator[Metrics, None, None]:
        """Figures as often as the sidecar sends them (`update_intervals.metrics`), or with at least `interval` seconds
        between, leaving out those that come sooner.

        A sidecar that cannot be reached at first is tried as often as any request, and then raises LlamaProxyError.
        Once figures have come, a connection that is lost is opened again, however long that takes; what is sent
        meanwhile is missed, and so is what is sent while the generator is not asked. It ends when it is closed, and
        soon after the client is.
        """
        due = time.monotonic()
        with closing(self._reconnecting()) as figures:
            for metrics in figures:
                if interval is None or time.monotonic() >= due:
                    due = time.monotonic() + (interval or 0.0)
                    yield metrics

    def _reconnecting(self) -> Generator[Metrics, None, None]:
        retries = self._exchange.retries
        failures, has_begun = 0, False
        while not self._exchange.is_closed():
            try:
                with closing(self._one_session()) as figures:
                    for metrics in figures:
                        failures, has_begun = 0, True
                        yield metrics
            except (LostError, RuntimeError) as error:
                # RuntimeError is httpx's, when it was closed after we asked whether it is.
                if self._exchange.is_closed():
                    return
                if isinstance(error, RuntimeError):
                    raise
                if not has_begun and failures >= retries.limit:
                    raise error.cause from None
                retries.sleep(max(retries.pause_seconds(failures), error.asked_seconds))
                failures += 1

    def _one_session(self) -> Generator[Metrics, None, None]:
        session = Session(self._exchange, NAMESPACE)
        try:
            session.open()
            for event in session.events():
                if event.name == EVENT:
                    yield read(Metrics, event.value, "metrics:update")
        finally:
            session.close()

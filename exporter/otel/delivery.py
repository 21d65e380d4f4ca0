"""How spans get out, and what became of all that was pushed.

`app` opens a `Delivery`, gives its `spans` to the tracer provider and its `metrics` to the push, shows its `status`,
and closes it at the end. Spans wait in the SDK's batch processor, metrics do not wait.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial

from opentelemetry.context import Context
from opentelemetry.sdk.metrics.export import MetricExporter
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter

from exporter.otel.account import Account, CountedMetrics, CountedSpans
from exporter.otel.exporters import metric_exporters, span_exporters
from exporter.otel.reasons import error_reason, quiet_libraries
from exporter.settings.otel import OtelSettings
from exporter.telemetry.pushed import EXPORT_FAILED, METRICS, QUEUE_FULL, TRACES, PushStatus
from exporter.worker import Worker, outcome

log = logging.getLogger(__name__)

CLOSING_SECONDS = 3.0
"""For the end: what waits is exported in this time, or lost."""
ENDING_SECONDS = 0.5
"""The last of it, for the exporters to let go."""


class BoundedSpans(SpanProcessor):
    """The queue of spans: the SDK's, which would push the oldest out without a word when it is full. That never
    happens, for here it is known what waits: what was handed over, less what the exporter has taken. A span that finds
    it full is dropped, and counted. All spans end on the event loop, which alone writes these numbers."""

    def __init__(self, settings: OtelSettings, account: Account, exporter: CountedSpans) -> None:
        self.limit = settings.queue_spans
        self.handed = 0
        self.dropped = 0
        self.late = 0
        """Spans that ended when all was over."""
        self._account = account
        self._exporter = exporter
        self._told_full = False
        self._queue = BatchSpanProcessor(
            exporter,
            max_queue_size=settings.queue_spans,
            schedule_delay_millis=settings.batch_delay_seconds * 1000,
            max_export_batch_size=settings.batch_spans,
            export_timeout_millis=settings.traces.timeout_seconds * 1000,  # It is not used, but would be read.
        )

    @property
    def waiting(self) -> int:
        """Spans that nobody has begun to export; none is left when all is over."""
        return 0 if self._account.closed.is_set() else self.handed - self._exporter.taken

    @property
    def failed(self) -> int:
        """Spans whose export failed; when all is over, whatever was not exported until then."""
        if self._account.closed.is_set():
            return self.handed - self._exporter.exported + self.late
        return self._exporter.failed

    @property
    def exported(self) -> int:
        """Spans that the receiver has taken."""
        return self._exporter.exported

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Nothing to do."""

    def on_end(self, span: ReadableSpan) -> None:
        """Let it wait, if it is sampled and there is room."""
        if span.context is None or not span.context.trace_flags.sampled:
            return
        if self._account.closed.is_set():
            self.late += 1
            return
        waiting = self.handed - self._exporter.taken
        if waiting >= self.limit:
            self._drop()
            return
        if waiting < self.limit / 2:
            self._told_full = False
        self.handed += 1
        self._queue.on_end(span)

    def _drop(self) -> None:
        self.dropped += 1
        if not self._told_full and not self._account.failing:
            self._told_full = True
            log.warning("the queue of spans is full; spans are dropped until there is room")

    def shutdown(self) -> None:
        """Export what waits. It takes as long as it takes, half a minute at most: `Delivery.close` does not wait for
        that."""
        self._queue.shutdown()  # type: ignore[no-untyped-call]

    def give_up(self) -> None:
        """Refuse what waits, and end the exporters."""
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int | None = None) -> bool:
        """Export what waits, and wait for it."""
        return self._queue.force_flush(timeout_millis)


class Delivery:
    """What there is of both signals, by the settings."""

    def __init__(
        self, settings: OtelSettings, span_exporters: Sequence[SpanExporter], metric_exporters: Sequence[MetricExporter]
    ) -> None:
        """A signal without exporters is off."""
        self.spans: BoundedSpans | None = None
        """For the tracer provider; None where traces are off."""
        self.metrics: CountedMetrics | None = None
        """For whoever pushes metrics; None where they are off."""
        self._accounts: list[Account] = []
        if span_exporters:
            account = Account(TRACES, settings.traces, self._count_lost)
            self.spans = BoundedSpans(settings, account, CountedSpans(account, span_exporters))
            self._accounts.append(account)
        if metric_exporters:
            account = Account(METRICS, settings.metrics)
            self.metrics = CountedMetrics(account, metric_exporters)
            self._accounts.append(account)

    def status(self) -> PushStatus:
        """How it fares."""
        exports = {each.signal: each.exports for each in self._accounts}
        failures = {each.signal: each.failures for each in self._accounts}
        spans = self.spans
        if spans is None:
            return PushStatus(exports, failures, None, None, None, None)
        dropped = {QUEUE_FULL: spans.dropped, EXPORT_FAILED: spans.failed}
        return PushStatus(exports, failures, spans.exported, dropped, spans.waiting, spans.limit)

    def _count_lost(self) -> int:
        return self.spans.dropped + self.spans.failed if self.spans else 0

    async def close(self, limit_seconds: float = CLOSING_SECONDS) -> None:
        """Export the spans that wait, if that is done in time, and end their exporters; what is left then is lost, and
        counted. (Whoever pushes the metrics ends theirs.)

        A thread that hangs on a receiver is left alone: it does not hold up the end of the process.
        """
        if self.spans is None:
            return
        closing = Worker("otel-closing")
        done = outcome(closing.submit(partial(self._close, self.spans, limit_seconds)))
        closing.close()
        await done

    def _close(self, spans: BoundedSpans, limit_seconds: float) -> None:
        """In a thread."""
        lost_before = self._count_lost()
        _run(spans.shutdown, "otel-flush", max(0.0, limit_seconds - ENDING_SECONDS))
        _run(spans.give_up, "otel-end", ENDING_SECONDS)
        lost = self._count_lost() - lost_before
        if lost:
            log.warning("not all spans could be exported at the end; they are lost", extra={"spans": lost})


def _run(job: Callable[[], None], name: str, limit_seconds: float) -> None:
    """Wait for `job` so long, and no longer."""
    worker = Worker(name)
    running = worker.submit(job)
    worker.close()
    try:
        running.result(limit_seconds)
    except TimeoutError:
        pass
    except Exception as error:
        log.debug("the end of pushing met an error", extra={"reason": error_reason(error)})


def open_delivery(settings: OtelSettings) -> Delivery:
    """With the exporters that the settings ask for."""
    quiet_libraries()
    return Delivery(settings, span_exporters(settings.traces), metric_exporters(settings.metrics))

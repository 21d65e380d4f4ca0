"""The account of exports, by signal: how many arrived and how many were given up; one line in the log when they begin
to fail, and one when that is over. `delivery` puts it between the exporters and whoever exports.

Only the thread that exports writes the numbers; anybody may read them.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from opentelemetry.sdk.metrics.export import MetricExporter, MetricExportResult, MetricsData
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from exporter.otel.reasons import error_reason, note, noting
from exporter.settings.otel import SignalSettings
from exporter.telemetry.pushed import TRACES

log = logging.getLogger(__name__)

Export = Callable[[], bool]


class Account:
    """Of the exports of one signal. Only the thread that exports makes attempts."""

    def __init__(self, signal: str, settings: SignalSettings, lost: Callable[[], int] = lambda: 0) -> None:
        """`lost` counts the spans that are gone so far."""
        self.signal = signal
        self.exports = 0
        self.failures = 0
        self.failing = False
        """Whether the last export failed; the log says so."""
        self.closed = threading.Event()
        """Once it is set, nothing is begun any more, for nobody would wait for it."""
        self._place = settings.endpoint or "console"
        self._lost = lost
        self._lost_before = self._failures_before = 0  # the last export that arrived

    def attempt(self, exports: Sequence[Export]) -> bool:
        """Make one export by all exporters; whether it arrived, which the first of them decides."""
        if self.closed.is_set():
            return False
        for export in exports[1:]:
            _succeeds(export)
        with noting() as heard:
            arrived = _succeeds(exports[0])
        if arrived:
            self._note_success()
        else:
            self._note_failure(heard.reason)
        return arrived

    def _note_success(self) -> None:
        self.exports += 1
        if self.failing:
            self.failing = False
            figures: dict[str, object] = {"failed_exports": self.failures - self._failures_before}
            if self.signal == TRACES:
                figures["spans_lost"] = self._lost() - self._lost_before
            log.info("%s are pushed again", self.signal, extra={"endpoint": self._place, **figures})
        self._lost_before, self._failures_before = self._lost(), self.failures

    def _note_failure(self, reason: str) -> None:
        if not self.failing and not self.closed.is_set():
            self.failing = True
            message = "%s cannot be pushed; traffic goes on, and later exports are tried"
            log.warning(message, self.signal, extra={"endpoint": self._place, "reason": reason})
        self.failures += 1


def _succeeds(export: Export) -> bool:
    try:
        return export()
    except Exception as error:  # its text may hold header fields, and those secrets
        note(error_reason(error))
        log.debug("an exporter failed", extra={"reason": error_reason(error)})
        return False


class CountedSpans(SpanExporter):
    """Exports spans, and counts them."""

    def __init__(self, account: Account, exporters: Sequence[SpanExporter]) -> None:
        self.taken = 0
        """Spans that were handed over to be exported."""
        self.exported = 0
        self.failed = 0
        self._account = account
        self._exporters = exporters

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """One batch."""
        self.taken += len(spans)
        if self._account.attempt([partial(_export_spans, each, spans) for each in self._exporters]):
            self.exported += len(spans)
            return SpanExportResult.SUCCESS
        self.failed += len(spans)
        return SpanExportResult.FAILURE

    def shutdown(self) -> None:
        """End the exporters; an export that waits to be repeated is given up."""
        self._account.closed.set()
        _shut_down(self._exporters)

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Nothing waits here."""
        return True


def _export_spans(exporter: SpanExporter, spans: Sequence[ReadableSpan]) -> bool:
    return exporter.export(spans) is SpanExportResult.SUCCESS


class CountedMetrics(MetricExporter):
    """Exports metrics, and counts the exports."""

    def __init__(self, account: Account, exporters: Sequence[MetricExporter]) -> None:
        super().__init__()
        self._account = account
        self._exporters = exporters

    def export(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any) -> MetricExportResult:
        """All metrics at one time. The exporters know how long they may take."""
        exports = [partial(_export_metrics, each, metrics_data) for each in self._exporters]
        return MetricExportResult.SUCCESS if self._account.attempt(exports) else MetricExportResult.FAILURE

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        """End the exporters; an export that waits to be repeated is given up."""
        self._account.closed.set()
        _shut_down(self._exporters)

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        """Nothing waits here."""
        return True


def _export_metrics(exporter: MetricExporter, metrics_data: MetricsData) -> bool:
    return exporter.export(metrics_data) is MetricExportResult.SUCCESS


def _shut_down(exporters: Iterable[SpanExporter | MetricExporter]) -> None:
    """Whatever one of them has to say, all are ended. Doing it again does no harm."""
    for exporter in exporters:
        try:
            exporter.shutdown()
        except Exception as error:
            log.debug("an exporter cannot be shut down", extra={"reason": error_reason(error)})

"""What the log says of exports that failed for a while."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from queue import Queue
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from exporter.otel.account import Account
from exporter.otel.delivery import Delivery
from exporter.settings.otel import OtelSettings, SignalSettings
from tests.otel.exports import logged, spans

SIGNAL = SignalSettings(frozenset(("otlp",)), endpoint="http://collector")
AGAIN = "traces are pushed again"


class Told(SpanExporter):
    """Does with each batch what a test says, and waits for that."""

    def __init__(self) -> None:
        self.words = Queue[SpanExportResult]()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return self.words.get(timeout=10)


def figures(lines: Sequence[Any]) -> list[tuple[int, int]]:
    """Exports and spans that were lost, of each time that it worked again."""
    return [(line.failed_exports, line.spans_lost) for line in lines if line.getMessage() == AGAIN]


async def test_what_the_queue_dropped_before_the_failure_was_noticed_is_lost_to_it() -> None:
    told = Told()
    settings = OtelSettings(SIGNAL, queue_spans=2, batch_spans=2, batch_delay_seconds=0.01)
    delivery = Delivery(settings, [told], [])
    queue = delivery.spans
    assert queue is not None

    async def offer(number: int) -> None:
        """So many spans, when the batch before has been taken."""
        async with asyncio.timeout(10):
            while queue.waiting:
                await asyncio.sleep(0.005)
        for span in spans(number):
            queue.on_end(span)

    with logged() as lines:
        await offer(2)
        await offer(5)  # The first batch hangs: of these, two wait, and three find the queue full.
        assert (queue.dropped, lines.pop().levelname) == (3, "WARNING")
        told.words.put(SpanExportResult.FAILURE)
        told.words.put(SpanExportResult.SUCCESS)
        await offer(1)
        told.words.put(SpanExportResult.SUCCESS)
        await delivery.close(1)
    assert figures(lines) == [(1, 5)]
    assert delivery.status().spans_exported == 3


def test_each_time_counts_for_itself() -> None:
    lost = [0]
    account = Account("traces", SIGNAL, lambda: lost[0])
    with logged() as lines:
        for so_far, arrives in ((1, False), (2, False), (4, True), (4, True), (9, True), (11, False), (12, True)):
            lost[0] = so_far
            assert account.attempt([partial(bool, arrives)]) is arrives
    assert figures(lines) == [(2, 4), (1, 3)]
    assert (account.exports, account.failures) == (4, 3)

"""What is pushed, and what is said and counted when it cannot be: against a real receiver that fails, hangs or is
away."""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from opentelemetry.sdk.metrics.export import MetricExportResult
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from exporter import config
from exporter.otel.delivery import BoundedSpans, Delivery, open_delivery
from exporter.settings.otel import OtelSettings, SignalSettings
from exporter.telemetry.pushed import PushStatus
from tests.otel.exports import environment, hasten, logged, loud_again, metrics, spans
from tests.otlp.receiver import GRPC, HTTP, Receiver

BOTH = pytest.mark.parametrize("transport", [HTTP, GRPC])
QUICK = {"OTEL_EXPORTER_OTLP_TIMEOUT": "700", "OTEL_BSP_SCHEDULE_DELAY": "100"}
"""Less patience than the 0.8 s before an export is tried again."""


@pytest.fixture(autouse=True)
def loud() -> Iterator[None]:
    with loud_again():
        yield


def opened(**variables: str) -> Delivery:
    with environment(**variables):
        return open_delivery(config.load_otel())


@asynccontextmanager
async def delivering(receiver: Receiver, **variables: str) -> AsyncIterator[Delivery]:
    delivery = opened(**receiver.environment, **QUICK | variables)
    try:
        yield delivery
    finally:
        await delivery.close(0.5)
        if delivery.metrics is not None:
            delivery.metrics.shutdown()


def end(delivery: Delivery, ended: Sequence[ReadableSpan]) -> None:
    """As the tracer provider does when spans end."""
    queue = queue_of(delivery)
    for span in ended:
        queue.on_end(span)


def queue_of(delivery: Delivery) -> BoundedSpans:
    assert delivery.spans is not None
    return delivery.spans


async def until(condition: Callable[[], object], seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


def said(lines: Sequence[logging.LogRecord]) -> list[tuple[str, str, dict[str, Any]]]:
    fields = ("endpoint", "reason", "spans_lost", "failed_exports", "spans")
    return [
        (line.levelname, line.getMessage(), {name: vars(line)[name] for name in fields if name in vars(line)})
        for line in lines
    ]


@BOTH
async def test_spans_and_metrics_are_delivered_and_counted(transport: str) -> None:
    with Receiver(transport) as receiver, logged() as lines:
        async with delivering(receiver) as delivery:
            end(delivery, spans(3))
            assert delivery.metrics is not None
            assert delivery.metrics.export(metrics()) is MetricExportResult.SUCCESS
            await until(lambda: delivery.status().spans_exported == 3)
        assert len(receiver.spans) == 3
        assert len(receiver.metrics) == 1
        nothing_lost = {"queue_full": 0, "export_failed": 0}
        assert delivery.status() == PushStatus(
            {"traces": 1, "metrics": 1}, {"traces": 0, "metrics": 0}, 3, nothing_lost, 0, 2048
        )
    assert lines == []


async def test_spans_that_are_not_sampled_are_nobody_s_business() -> None:
    with Receiver() as receiver:
        async with delivering(receiver) as delivery:
            end(delivery, spans(5, sampled=False))
            end(delivery, spans(1))
            await until(lambda: delivery.status().spans_exported == 1)
            assert queue_of(delivery).handed == 1


async def test_a_signal_that_is_off_has_no_figures() -> None:
    with Receiver() as receiver:
        async with delivering(receiver, OTEL_TRACES_EXPORTER="none") as delivery:
            assert delivery.spans is None
            assert delivery.status() == PushStatus({"metrics": 0}, {"metrics": 0}, None, None, None, None)
        async with delivering(receiver, OTEL_METRICS_EXPORTER="none") as delivery:
            assert delivery.metrics is None
            assert set(delivery.status().exports) == {"traces"}


@BOTH
async def test_a_receiver_that_fails_and_comes_back(transport: str) -> None:
    """One line at the beginning and one at the end, however often it is tried meanwhile."""
    with Receiver(transport) as receiver, logged() as lines:
        receiver.fail()
        async with delivering(receiver) as delivery:
            for failures in (1, 2, 3):
                end(delivery, spans(2))
                await until(lambda failures=failures: delivery.status().failures["traces"] == failures)  # type: ignore[misc]
            status = delivery.status()
            assert (status.exports["traces"], status.spans_exported) == (0, 0)
            assert status.spans_dropped == {"queue_full": 0, "export_failed": 6}
            receiver.recover()
            end(delivery, spans(1))
            await until(lambda: delivery.status().spans_exported == 1)
            await until(lambda: len(lines) == 2)
    reason = "HTTP 503 (Service Unavailable)" if transport == HTTP else "gRPC UNAVAILABLE"
    place = f"{receiver.endpoint}{'/v1/traces' if transport == HTTP else ''}"
    assert said(lines) == [
        (
            "WARNING",
            "traces cannot be pushed; traffic goes on, and later exports are tried",
            {"endpoint": place, "reason": reason},
        ),
        ("INFO", "traces are pushed again", {"endpoint": place, "spans_lost": 6, "failed_exports": 3}),
    ]


@BOTH
async def test_metrics_that_cannot_be_pushed(transport: str) -> None:
    with Receiver(transport) as receiver, logged() as lines:
        async with delivering(receiver) as delivery:
            assert delivery.metrics is not None
            receiver.stop()
            for _ in range(2):
                assert await asyncio.to_thread(delivery.metrics.export, metrics()) is MetricExportResult.FAILURE
            receiver.start()
            # An address that refused a moment ago is not tried at once by gRPC.
            await until(lambda: delivery.metrics and delivery.metrics.export(metrics()) is MetricExportResult.SUCCESS)
            status = delivery.status()
    assert status.exports["metrics"] == 1
    assert status.failures["metrics"] >= 2
    first, last = said(lines)
    assert "connection refused" in first[2]["reason"]
    assert (last[1], last[2]["failed_exports"]) == ("metrics are pushed again", status.failures["metrics"])


async def test_what_finds_the_queue_full_is_dropped_and_counted() -> None:
    """The new one: what waits is kept, in its order."""
    small = {
        "OTEL_BSP_MAX_QUEUE_SIZE": "4",
        "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "2",
        "OTEL_EXPORTER_OTLP_TIMEOUT": "9000",
    }
    with Receiver() as receiver, logged() as lines:
        receiver.hang()
        delivery = opened(**receiver.environment, **QUICK | small)
        first, waiting, lost = spans(2), spans(4), spans(5)
        end(delivery, first)
        await until(lambda: receiver.hanging == 1)
        assert delivery.status().queue_length == 0
        end(delivery, waiting + lost)
        status = delivery.status()
        assert (status.queue_length, status.queue_limit) == (4, 4)
        assert status.spans_dropped == {"queue_full": 5, "export_failed": 0}
        receiver.recover()
        await until(lambda: delivery.status().spans_exported == 6)
        kept = [span.context.span_id for span in first + waiting if span.context]
        assert [int(span.span_id, 16) for span in receiver.spans] == kept
        await delivery.close(1)
    assert said(lines) == [("WARNING", "the queue of spans is full; spans are dropped until there is room", {})]


async def test_a_queue_that_is_full_again_is_said_again_only_after_it_was_not() -> None:
    class Slow(SpanExporter):
        """Waits for a word before each export."""

        def __init__(self) -> None:
            self.words = asyncio.Queue[None]()
            self.loop = asyncio.get_running_loop()

        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            asyncio.run_coroutine_threadsafe(self.words.get(), self.loop).result(10)
            return SpanExportResult.SUCCESS

    slow = Slow()
    settings = OtelSettings(
        SignalSettings(frozenset(("otlp",))), queue_spans=4, batch_spans=1, batch_delay_seconds=0.05
    )
    delivery = Delivery(settings, [slow], [])
    with logged() as lines:
        for told in (1, 2):
            end(delivery, spans(12))
            assert len(lines) == told
            for _ in range(12):
                slow.words.put_nowait(None)
            await until(lambda: delivery.status().queue_length == 0)
            while not slow.words.empty():
                slow.words.get_nowait()
        for _ in range(12):
            slow.words.put_nowait(None)
        await delivery.close(1)


@BOTH
async def test_a_receiver_that_is_away_costs_bounded_memory_and_little_work(
    transport: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Spans come for a while and nobody takes them: no more wait than may, and the SDK never has to push one out."""
    hasten(monkeypatch, 0.3)
    receiver = Receiver(transport)
    small = {"OTEL_BSP_MAX_QUEUE_SIZE": "300", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "100"}
    with logged(logging.DEBUG) as lines:
        async with delivering(receiver, **small, OTEL_EXPORTER_OTLP_TIMEOUT="500") as delivery:
            batch, lengths = spans(100), list[int]()
            before = cpu_seconds()
            for _ in range(40):
                end(delivery, batch)
                lengths.append(delivery.status().queue_length or 0)
                await asyncio.sleep(0.02)
            spent = cpu_seconds() - before
        dropped = delivery.status().spans_dropped
    assert max(lengths) == 300
    assert dropped is not None
    assert sum(dropped.values()) == 4000
    assert 300 <= dropped["export_failed"] <= 1000
    assert not [line for line in lines if "Queue full" in line.getMessage()]
    assert spent < 0.4


def cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


async def test_an_exporter_that_breaks() -> None:
    class Broken(SpanExporter):
        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            raise RuntimeError("authorization: secret")

        def shutdown(self) -> None:
            raise RuntimeError("authorization: secret")

    settings = OtelSettings(SignalSettings(frozenset(("otlp",)), endpoint="http://x"), batch_delay_seconds=0.05)
    with logged(logging.DEBUG) as lines:
        delivery = Delivery(settings, [Broken()], [])
        end(delivery, spans(2))
        await until(lambda: delivery.status().spans_dropped == {"queue_full": 0, "export_failed": 2})
        await delivery.close(1)
    failing = [line for line in said(lines) if line[1].startswith("traces cannot be pushed")]
    assert [line[2]["reason"] for line in failing] == ["RuntimeError"]
    assert "secret" not in str([(line.getMessage(), vars(line)) for line in lines])


async def test_what_the_console_does_decides_nothing_where_there_is_a_receiver() -> None:
    class Console(SpanExporter):
        def __init__(self) -> None:
            self.shown = 0

        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            self.shown += len(spans)
            raise BrokenPipeError

    class Taking(SpanExporter):
        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            return SpanExportResult.SUCCESS

    console = Console()
    settings = OtelSettings(SignalSettings(frozenset(("otlp", "console"))), batch_delay_seconds=0.05)
    with logged() as lines:
        delivery = Delivery(settings, [Taking(), console], [])
        end(delivery, spans(2))
        await until(lambda: delivery.status().spans_exported == 2)
        await delivery.close(1)
    assert (console.shown, lines) == (2, [])


# The end


@BOTH
async def test_the_end_delivers_what_waits(transport: str) -> None:
    with Receiver(transport) as receiver:
        delivery = opened(**receiver.environment, OTEL_BSP_SCHEDULE_DELAY="60000")
        end(delivery, spans(700))
        began = time.monotonic()
        await delivery.close()
        assert time.monotonic() - began < 2.5
        assert len(receiver.spans) == 700
        status = delivery.status()
        assert (status.spans_exported, status.queue_length) == (700, 0)
        end(delivery, spans(1))
        assert delivery.status().spans_dropped == {"queue_full": 0, "export_failed": 1}
        await delivery.close()


@BOTH
async def test_the_end_does_not_wait_for_a_receiver_that_hangs(transport: str) -> None:
    with Receiver(transport) as receiver, logged() as lines:
        receiver.hang()
        delivery = opened(**receiver.environment, OTEL_BSP_MAX_EXPORT_BATCH_SIZE="100")
        end(delivery, spans(250))
        await until(lambda: receiver.hanging)
        began = time.monotonic()
        await delivery.close(1)
        assert time.monotonic() - began < 1.5
        status = delivery.status()
    assert (status.spans_exported, status.queue_length) == (0, 0)
    assert status.spans_dropped == {"queue_full": 0, "export_failed": 250}
    assert said(lines)[-1] == ("WARNING", "not all spans could be exported at the end; they are lost", {"spans": 250})


@BOTH
async def test_the_end_does_not_wait_for_a_receiver_that_is_away(transport: str) -> None:
    receiver = Receiver(transport)
    with logged() as lines:
        delivery = opened(**receiver.environment, OTEL_BSP_SCHEDULE_DELAY="60000")
        end(delivery, spans(3))
        began = time.monotonic()
        await delivery.close(1)
        assert time.monotonic() - began < 1.5
    assert delivery.status().spans_dropped == {"queue_full": 0, "export_failed": 3}
    assert ("WARNING", "not all spans could be exported at the end; they are lost", {"spans": 3}) in said(lines)


SHORT_LIFE = """
import asyncio, sys
from exporter import config
from exporter.otel.delivery import open_delivery
from tests.otel.exports import metrics, spans
import threading

async def main():
    delivery = open_delivery(config.load_otel())
    threading.Thread(target=delivery.metrics.export, args=(metrics(),), daemon=True).start()
    for span in spans(600):
        delivery.spans.on_end(span)
    print("ended", flush=True)
    sys.stdin.readline()
    await delivery.close(1)

asyncio.run(main())
"""


@BOTH
def test_a_process_ends_though_the_receiver_hangs(transport: str) -> None:
    with Receiver(transport) as receiver:
        receiver.hang()
        variables = {**os.environ, **receiver.environment, "OTEL_EXPORTER_OTLP_TIMEOUT": "60000", "PYTHONPATH": "."}
        command = [sys.executable, "-W", "error", "-c", SHORT_LIFE]
        with subprocess.Popen(
            command, env=variables, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ended\n"
            receiver.wait_for(lambda: receiver.hanging == 2)
            began = time.monotonic()
            _, errors = process.communicate("\n", timeout=20)
            assert time.monotonic() - began < 4
        assert process.returncode == 0
        assert errors.splitlines() == ["not all spans could be exported at the end; they are lost"]

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from opentelemetry.instrumentation.utils import is_instrumentation_enabled
from opentelemetry.sdk.metrics.export import MetricExporter, MetricExportResult, MetricsData
from opentelemetry.sdk.resources import Resource

from exporter.otel import push
from exporter.otel.points import Conversion, Starts
from exporter.otel.push import MetricsPush, next_due
from exporter.tasks import cancel, spawn
from exporter.telemetry.catalog import Feed, Kind, Metric
from exporter.telemetry.instruments import Counter, Exemplar, Histogram

NOW = 1_700_000_000.0
THINGS = Metric("test_things", Kind.COUNTER, "Things.", Feed.SELF, unit="things")
WAIT = Metric("test_wait_seconds", Kind.HISTOGRAM, "Waiting.", Feed.SELF, unit="seconds")
PATIENCE_SECONDS = 10


class Source:
    """One counter and one histogram, or nothing but trouble."""

    def __init__(self) -> None:
        self.things = Counter(THINGS)
        self.wait = Histogram(WAIT, (1.0,))
        self.trouble: Exception | None = None

    def families(self) -> Sequence[Counter | Histogram]:
        if self.trouble:
            raise self.trouble
        return self.things, self.wait


class Exporter(MetricExporter):
    """Keeps what it is given; `hold` keeps it from coming back."""

    def __init__(self, result: MetricExportResult = MetricExportResult.SUCCESS) -> None:
        super().__init__()
        self.result = result
        self.error: Exception | None = None
        self.begun: list[float] = []
        self.given: list[MetricsData] = []
        self.threads: set[str] = set()
        self.traced: set[bool] = set()
        self.hold = threading.Event()
        self.hold.set()
        self.shutdowns: list[float] = []

    def export(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any) -> MetricExportResult:
        self.begun.append(time.monotonic())
        self.threads.add(threading.current_thread().name)
        self.traced.add(is_instrumentation_enabled())
        self.hold.wait(PATIENCE_SECONDS)
        if self.error:
            raise self.error
        self.given.append(metrics_data)
        return self.result

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        return True

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        self.shutdowns.append(timeout_millis)

    def values(self) -> list[float]:
        """Of the counter, by push."""
        return [point.value for metrics in self.given for point in points(metrics, "test_things")]

    def exemplars(self) -> list[int]:
        """How many exemplars the histogram had, by push."""
        return [len(point.exemplars) for metrics in self.given for point in points(metrics, "test_wait")]


def points(metrics: MetricsData, name: str) -> Sequence[Any]:
    scope = metrics.resource_metrics[0].scope_metrics[0]
    return next((metric.data.data_points for metric in scope.metrics if metric.name == name), ())


def made(exporter: Exporter, source: Source, interval_seconds: float = 0.01) -> MetricsPush:
    conversion = Conversion([source], Resource({}), Starts(NOW))
    return MetricsPush(conversion, exporter, interval_seconds=interval_seconds, wall_clock=lambda: NOW)


async def reached(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():
            await asyncio.sleep(0.001)


@pytest.fixture
def source() -> Source:
    source = Source()
    source.things.series().inc(3)
    return source


async def test_everything_is_pushed_at_every_interval(source: Source) -> None:
    exporter = Exporter()
    running = spawn(made(exporter, source).run(), name="push")
    await reached(lambda: len(exporter.given) == 1)
    source.things.series().inc(4)
    await reached(lambda: exporter.values()[-1] == 7)
    await cancel(running)
    assert exporter.values()[0] == 3


async def test_nothing_is_pushed_before_the_first_interval_has_passed(source: Source) -> None:
    exporter = Exporter()
    began = time.monotonic()
    running = spawn(made(exporter, source, interval_seconds=0.1).run(), name="push")
    await reached(lambda: len(exporter.begun) == 1)
    await cancel(running)
    assert exporter.begun[0] - began >= 0.1


async def test_exports_are_made_in_a_thread_and_not_traced(source: Source) -> None:
    exporter = Exporter()
    exporter.hold.clear()
    running = spawn(made(exporter, source).run(), name="push")
    await reached(lambda: len(exporter.begun) == 1)  # and so the event loop goes on while the export does not
    exporter.hold.set()
    await reached(lambda: len(exporter.given) == 1)
    await cancel(running)
    assert exporter.threads == {"metrics-push"}
    assert exporter.traced == {False}
    assert is_instrumentation_enabled()


async def test_a_slow_export_lets_pushes_fall_out(source: Source) -> None:
    exporter = Exporter()
    exporter.hold.clear()
    interval = 0.05
    running = spawn(made(exporter, source, interval_seconds=interval).run(), name="push")
    await reached(lambda: len(exporter.begun) == 1)
    await reached(lambda: time.monotonic() > exporter.begun[0] + 4.5 * interval)
    assert len(exporter.begun) == 1
    exporter.hold.set()
    await reached(lambda: len(exporter.begun) == 3)
    await cancel(running)
    assert exporter.begun[2] - exporter.begun[1] > interval / 2, "they had queued up"


@pytest.mark.parametrize(
    ("due", "now", "following"),
    [
        (10.0, 10.0, 20.0),
        (10.0, 10.2, 20.0),
        (10.0, 19.9, 20.0),
        (10.0, 20.0, 30.0),
        (10.0, 47.0, 50.0),
        (10.0, 9.99, 20.0),
    ],
)
def test_pushes_stay_aligned_and_those_missed_are_left_out(due: float, now: float, following: float) -> None:
    assert next_due(due, now, 10.0) == following


async def test_an_exporter_that_fails_ends_nothing(source: Source, caplog: pytest.LogCaptureFixture) -> None:
    broken = Exporter()
    broken.error = RuntimeError("no")
    running = spawn(made(broken, source).run(), name="push")
    await reached(lambda: len(broken.begun) == 2)
    await cancel(running)
    assert "the exporter of metrics failed" in caplog.text


# Exemplars


async def test_an_exemplar_is_pushed_once(source: Source) -> None:
    source.wait.series().observe(0.5, Exemplar("1" * 32, "2" * 16, 0.5, NOW - 1))
    exporter = Exporter()
    running = spawn(made(exporter, source).run(), name="push")
    await reached(lambda: len(exporter.given) == 2)
    await cancel(running)
    assert exporter.exemplars()[:2] == [1, 0]


async def test_an_exemplar_that_was_not_taken_is_pushed_again(source: Source) -> None:
    source.wait.series().observe(0.5, Exemplar("1" * 32, "2" * 16, 0.5, NOW - 1))
    exporter = Exporter(MetricExportResult.FAILURE)
    running = spawn(made(exporter, source).run(), name="push")
    await reached(lambda: len(exporter.given) == 2)
    exporter.result = MetricExportResult.SUCCESS
    await reached(lambda: exporter.exemplars()[-1] == 0)
    await cancel(running)
    assert exporter.exemplars()[:2] == [1, 1]


# The end


async def test_the_end_pushes_what_has_happened_since_and_shuts_the_exporter_down(source: Source) -> None:
    exporter = Exporter()
    pushing = made(exporter, source, interval_seconds=60)
    running = spawn(pushing.run(), name="push")
    await cancel(running)
    source.things.series().inc()
    await pushing.close()
    assert (exporter.values(), exporter.shutdowns) == ([4], [500])


async def test_the_end_comes_after_an_export_that_is_on_its_way(source: Source) -> None:
    exporter = Exporter()
    exporter.hold.clear()
    pushing = made(exporter, source)
    running = spawn(pushing.run(), name="push")
    await reached(lambda: len(exporter.begun) == 1)
    await cancel(running)
    source.things.series().inc()
    closing = spawn(pushing.close(), name="close")
    exporter.hold.set()
    await closing
    assert exporter.values() == [3, 4]
    assert len(exporter.shutdowns) == 1


async def test_the_end_does_not_wait_for_an_exporter_that_hangs(
    source: Source, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(push, "LAST_PUSH_SECONDS", 0.05)
    exporter = Exporter()
    exporter.hold.clear()
    began = time.monotonic()
    await made(exporter, source).close()
    took = time.monotonic() - began
    exporter.hold.set()
    assert 0.05 <= took < PATIENCE_SECONDS / 2
    assert len(exporter.shutdowns) == 1
    assert [each.levelno for each in caplog.records] == [logging.WARNING]


def test_the_end_takes_about_three_seconds_at_most() -> None:
    assert push.LAST_PUSH_SECONDS + push.SHUTDOWN_SECONDS <= 3


async def test_the_end_does_not_wait_for_a_shutdown_that_hangs(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(push, "SHUTDOWN_SECONDS", 0.05)
    release = threading.Event()

    class Stuck(Exporter):
        def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
            super().shutdown(timeout_millis)
            release.wait(PATIENCE_SECONDS)

    exporter = Stuck()
    began = time.monotonic()
    await made(exporter, source).close()
    took = time.monotonic() - began
    release.set()
    assert exporter.shutdowns == [50]
    assert took < PATIENCE_SECONDS / 2


async def test_the_end_comes_whatever_goes_wrong(source: Source, caplog: pytest.LogCaptureFixture) -> None:
    class Bad(Exporter):
        def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
            super().shutdown(timeout_millis)
            raise RuntimeError("no")

    source.trouble = RuntimeError("no families")
    exporter = Bad()
    await made(exporter, source).close()
    assert exporter.shutdowns == [500]
    assert "the last push of metrics failed" in caplog.text
    assert "the exporter of metrics could not be shut down" in caplog.text

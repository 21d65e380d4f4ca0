"""A receiver that refuses, is away, or hangs: traffic does not notice, what is lost is counted, and it recovers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median
from typing import Any

import pytest

from exporter.demo.engine import Engine
from tests.end_to_end.dialects import KINDS, MODEL
from tests.end_to_end.sidecar import Metrics, Sidecar
from tests.end_to_end.traced import CHAT, QUICK, TRACES_ONLY, Seen, ask, new_context, tree_of, wait_for_metrics
from tests.otlp.receiver import GRPC, HTTP, Failure, Receiver

SPANS_EACH = 2
"""Spans of a request, if it is no stream: after each of those the engine closes the connection without a word, so that
the next request may have to be sent twice."""
REQUESTS = 15
NOTICED_SECONDS = 0.1
"""A request that waits for a receiver waits for longer: for a connection, an answer, or until a try is over."""
STOPS_SECONDS = 3.0 + 3.0
"""What it takes to send what is left, and what it takes to stop on a busy machine."""
Chat = Callable[[], Seen]


@contextmanager
def serving(engine: Engine, receiver: Receiver, **variables: str) -> Iterator[tuple[Sidecar, Chat]]:
    """A sidecar, and a chat with its model."""
    environment = {**receiver.environment, **TRACES_ONLY, **variables}
    with Sidecar("--upstream", f"Q4={engine.url}", environment=environment) as sidecar:

        def chat() -> Seen:
            seen = ask(sidecar.proxy, CHAT, KINDS["chat"].body, context=new_context())
            assert (seen.status, seen.broken) == (200, False)
            return seen

        chat()
        yield sidecar, chat


@pytest.fixture(scope="module")
def engine(start_engine: Callable[..., Engine]) -> Engine:
    return start_engine(embedding=True, alias=MODEL)


@pytest.fixture(params=[HTTP, GRPC])
def receiver(request: pytest.FixtureRequest) -> Iterator[Receiver]:
    with Receiver(request.param) as receiver:
        yield receiver


def failures(metrics: Metrics) -> float:
    return metrics.sum("llm_sidecar_otlp_export_failures_total", signal="traces")


def dropped(metrics: Metrics) -> float:
    return metrics.sum("llm_sidecar_otlp_dropped_spans_total")


def exported(metrics: Metrics) -> float:
    return metrics.sum("llm_sidecar_otlp_exported_spans_total")


def waiting(metrics: Metrics) -> float:
    return metrics.sum("llm_sidecar_otlp_queue_length")


def typical(chat: Chat) -> float:
    """Seconds that a request takes."""
    return median(chat().seconds for _ in range(REQUESTS))


def about_export(sidecar: Sidecar) -> list[dict[str, Any]]:
    """Lines of the log that are not about the start."""
    lines = [entry for entry in list(sidecar.log) if "export" in str(entry).lower() and "logger" in entry]
    return [entry for entry in lines if not str(entry["message"]).startswith(("pushing", "OTEL_"))]


def test_a_batch_that_was_refused_is_sent_again(engine: Engine, receiver: Receiver) -> None:
    """It arrives in the end, once, and nothing was lost."""
    with serving(engine, receiver) as (sidecar, chat):
        receiver.wait_for_spans(SPANS_EACH)
        receiver.fail(1)
        seen = chat()
        receiver.wait_for(lambda: receiver.refused == 1)
        tree_of(receiver, seen)
        metrics = wait_for_metrics(sidecar, lambda shown: exported(shown) == 2 * SPANS_EACH)
        assert (failures(metrics), dropped(metrics), waiting(metrics)) == (0, 0, 0)
        assert sidecar.stop() == 0
    spans = [span.span_id for span in receiver.spans]
    assert len(spans) == len(set(spans)) == 2 * SPANS_EACH


def test_a_batch_that_nobody_wants_is_lost(engine: Engine) -> None:
    """What is wrong with it will be wrong the next time, too: it is not sent again."""
    with Receiver() as receiver, serving(engine, receiver) as (sidecar, chat):
        receiver.wait_for_spans(SPANS_EACH)
        receiver.fail(failure=Failure(status=400))
        chat()
        metrics = wait_for_metrics(sidecar, lambda shown: dropped(shown) == SPANS_EACH)
        assert metrics.sum("llm_sidecar_otlp_dropped_spans_total", reason="export_failed") == SPANS_EACH
        receiver.recover()
        tree_of(receiver, chat())
        assert len(receiver.spans) == 2 * SPANS_EACH
        assert receiver.refused == failures(sidecar.metrics()) > 0


def test_a_receiver_that_is_away(engine: Engine, receiver: Receiver) -> None:
    with serving(engine, receiver, OTEL_EXPORTER_OTLP_TIMEOUT="600") as (sidecar, chat):
        before = typical(chat)
        receiver.wait_for_spans(SPANS_EACH * (1 + REQUESTS))
        lines = len(about_export(sidecar))
        receiver.stop()
        assert typical(chat) < before + NOTICED_SECONDS
        lost = SPANS_EACH * REQUESTS
        metrics = wait_for_metrics(sidecar, lambda shown: dropped(shown) == lost and waiting(shown) == 0)
        assert metrics.sum("llm_sidecar_otlp_dropped_spans_total", reason="export_failed") == lost
        assert failures(metrics) >= 1
        assert len(about_export(sidecar)) == lines + 1
        receiver.start()
        seen = chat()
        tree_of(receiver, seen)
        sidecar.wait_until(lambda: len(about_export(sidecar)) == lines + 2)
        metrics = wait_for_metrics(sidecar, lambda shown: exported(shown) == SPANS_EACH * (2 + REQUESTS))
        assert (dropped(metrics), waiting(metrics)) == (lost, 0)
        failing, well = about_export(sidecar)[lines:]
        assert (failing["level"], well["level"]) == ("warning", "info")


def test_a_receiver_that_hangs(engine: Engine, receiver: Receiver) -> None:
    """Spans that find the queue full are lost, and counted; the rest is given up at the end."""
    small = {"OTEL_BSP_MAX_QUEUE_SIZE": "8", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "4", "OTEL_METRICS_EXPORTER": "otlp"}
    with serving(engine, receiver, **small) as (sidecar, chat):
        receiver.wait_for_spans(SPANS_EACH)
        before = typical(chat)
        made = SPANS_EACH * (1 + REQUESTS)
        lost = dropped(wait_for_metrics(sidecar, lambda shown: exported(shown) + dropped(shown) == made))
        receiver.hang()
        assert typical(chat) < before + NOTICED_SECONDS
        receiver.wait_for(lambda: receiver.hanging > 0)
        metrics = wait_for_metrics(sidecar, lambda shown: dropped(shown) > lost)
        full = metrics.sum("llm_sidecar_otlp_dropped_spans_total", reason="queue_full") - lost
        assert SPANS_EACH * REQUESTS - 8 - 4 <= full < SPANS_EACH * REQUESTS
        assert waiting(metrics) <= metrics.sum("llm_sidecar_otlp_queue_limit") == 8
        began = time.monotonic()
        assert sidecar.stop() == 0
        assert time.monotonic() - began < STOPS_SECONDS


def test_metrics_have_it_all_after_an_outage(engine: Engine) -> None:
    """A push that fails loses nothing."""
    only_metrics = {**QUICK, "OTEL_TRACES_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "otlp"}
    with Receiver() as receiver:
        variables = {**only_metrics, "OTEL_EXPORTER_OTLP_TIMEOUT": "300"}
        with serving(engine, receiver, **variables) as (sidecar, chat):
            receiver.wait_for(lambda: told(receiver) == 1)
            receiver.fail()
            chat()
            name = "llm_sidecar_otlp_export_failures_total"
            wait_for_metrics(sidecar, lambda shown: shown.sum(name, signal="metrics") > 1)
            assert told(receiver) == 1
            receiver.recover()
            chat()
            receiver.wait_for(lambda: told(receiver) == 3)


def told(receiver: Receiver) -> float:
    """Requests that the newest push tells of."""
    requests = receiver.latest_metrics.get("llm.requests")
    return 0 if requests is None else sum(point.value or 0 for point in requests.points)

from __future__ import annotations

import inspect
import logging
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from decimal import Decimal
from enum import Enum, StrEnum
from fractions import Fraction
from typing import Any

import pytest

from exporter.client import MetricsCollector, get_metrics_collector
from exporter.client.outbox import CAPACITY, ERROR_LIMIT
from tests.client.recorder import Recorder, Reply
from tests.client.threaded import LIMIT_SECONDS

Make = Callable[..., MetricsCollector]


def counts(collector: MetricsCollector) -> tuple[int, int, int]:
    return collector.sent, collector.refused, collector.dropped


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the client has said; it says nothing below a warning."""
    mine = [record for record in caplog.records if record.name.startswith("exporter")]
    assert all(record.levelno == logging.WARNING and record.name == "exporter.client" for record in mine)
    return [record.getMessage() for record in mine]


# What is sent


def test_all_three_kinds_arrive_by_position_and_by_keyword_in_the_order_of_the_calls(
    recorder: Recorder, collector: MetricsCollector
) -> None:
    collector.record_query("Q4", 120.5, 64, 100.25, True)
    collector.record_query(tier="Q2", latency_ms=3)
    collector.record_routing_decision("COMPLEX", "Q4", 8.5, 0.25, True)
    collector.record_routing_decision(complexity="SIMPLE", tier="Q2", score=1, decision_time_ms=0)
    collector.update_model_availability("Q4", 1, 2)
    collector.update_model_availability(tier="Q2", available=0, total=0)
    assert collector.flush(LIMIT_SECONDS)
    query = {"tokens_generated": 0, "generation_time_ms": 0.0, "is_error": False}
    assert recorder.received == [
        (
            "/api/metrics/record/query",
            {
                "tier": "Q4",
                "latency_ms": 120.5,
                "tokens_generated": 64,
                "generation_time_ms": 100.25,
                "is_error": True,
            },
        ),
        ("/api/metrics/record/query", {"tier": "Q2", "latency_ms": 3.0, **query}),
        (
            "/api/metrics/record/routing",
            {"complexity": "COMPLEX", "tier": "Q4", "score": 8.5, "decision_time_ms": 0.25, "is_fallback": True},
        ),
        (
            "/api/metrics/record/routing",
            {"complexity": "SIMPLE", "tier": "Q2", "score": 1.0, "decision_time_ms": 0.0, "is_fallback": False},
        ),
        ("/api/metrics/record/availability", {"tier": "Q4", "available": 1, "total": 2}),
        ("/api/metrics/record/availability", {"tier": "Q2", "available": 0, "total": 0}),
    ]
    assert counts(collector) == (6, 0, 0)


def test_the_signatures_are_the_documented_ones() -> None:
    signatures = {
        "record_query": "tier: str, latency_ms: float, tokens_generated: int = 0, generation_time_ms: float = 0.0, "
        "is_error: bool = False",
        "record_routing_decision": "complexity: str, tier: str, score: float, decision_time_ms: float, "
        "is_fallback: bool = False",
        "update_model_availability": "tier: str, available: int, total: int",
    }
    for name, parameters in signatures.items():
        signature = str(inspect.signature(getattr(MetricsCollector, name))).replace("'", "")
        assert signature == f"(self, {parameters}) -> None"


def test_one_connection_serves_all(recorder: Recorder, collector: MetricsCollector) -> None:
    for _ in range(50):
        collector.record_query("Q4", 1.0)
    assert collector.flush(LIMIT_SECONDS)
    assert len(recorder.received) == 50
    assert len(recorder.clients) == 1


def test_eight_threads_lose_and_double_nothing(recorder: Recorder, collector: MetricsCollector) -> None:
    def work(number: int) -> None:
        for call in range(1000):
            collector.record_query(f"T{number}", call)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert collector.flush(60)
    assert counts(collector) == (8000, 0, 0)
    seen: dict[str, list[float]] = {}
    for body in recorder.bodies("query"):
        seen.setdefault(body["tier"], []).append(body["latency_ms"])
    assert seen == {f"T{number}": [float(call) for call in range(1000)] for number in range(8)}


def test_the_key_is_sent_and_never_logged(
    recorder: Recorder, make_collector: Make, caplog: pytest.LogCaptureFixture
) -> None:
    recorder.answers = [Reply(401), Reply(503)]
    collector = make_collector(recorder.url, api_key="open-sesame")
    collector.record_query("Q4", 1.0)
    collector.record_query("Q4", 1.0)
    assert collector.flush(LIMIT_SECONDS)
    odd = make_collector(recorder.url, api_key="open\nsesame")
    odd.record_query("Q4", 1.0)
    assert odd.flush(LIMIT_SECONDS)
    assert recorder.keys == ["open-sesame"]
    assert (counts(collector), counts(odd)) == ((1, 1, 0), (0, 0, 1))
    assert "sesame" not in caplog.text


def test_a_sidecar_may_live_below_a_path(recorder: Recorder, make_collector: Make) -> None:
    collector = make_collector(f"{recorder.url}/behind/nginx/")
    collector.update_model_availability("Q4", 1, 1)
    assert collector.flush(LIMIT_SECONDS)
    assert [path for path, _ in recorder.received] == ["/behind/nginx/api/metrics/record/availability"]


# What may be passed


class Tier(StrEnum):
    LARGE = "Q4"


class OldTier(str, Enum):  # noqa: UP042 - the older kind, whose str() is not its value
    LARGE = "Q4"


class Float32:
    """What NumPy's numbers are to Python: neither float nor int."""

    def __init__(self, value: float) -> None:
        self.value = value

    def __float__(self) -> float:
        return float(self.value)


class Int64:
    def __init__(self, value: int) -> None:
        self.value = value

    def __index__(self) -> int:
        return self.value


@pytest.mark.parametrize(
    ("arguments", "sent"),
    [
        ((Tier.LARGE, 1), {"tier": "Q4"}),
        ((OldTier.LARGE, 1), {"tier": "Q4"}),
        (("größer", 1), {"tier": "größer"}),
        (("Q4", Float32(0.5)), {"latency_ms": 0.5}),
        (("Q4", Decimal("2.5")), {"latency_ms": 2.5}),
        (("Q4", Fraction(1, 4)), {"latency_ms": 0.25}),
        (("Q4", -1.0), {"latency_ms": -1.0}),
        (("Q4", True), {"latency_ms": 1.0}),
        (("Q4", 1, Int64(7)), {"tokens_generated": 7}),
        (("Q4", 1, 7.0), {"tokens_generated": 7}),
        (("Q4", 1, 0, 0, 1), {"is_error": True}),
        (("Q4", 1, 0, 0, None), {"is_error": False}),
    ],
)
def test_whatever_means_a_value_is_sent_as_that_value(
    recorder: Recorder, collector: MetricsCollector, arguments: tuple[Any, ...], sent: dict[str, Any]
) -> None:
    collector.record_query(*arguments)
    assert collector.flush(LIMIT_SECONDS)
    ((_, body),) = recorder.received
    assert {name: body[name] for name in sent} == sent
    assert {name: type(body[name]) for name in sent} == {name: type(value) for name, value in sent.items()}


class Hostile:
    """Raises wherever Python lets it."""

    def _refuse(self, *_: object) -> Any:
        raise RuntimeError("no")

    __str__ = __repr__ = __float__ = __int__ = __index__ = __bool__ = __len__ = __eq__ = __hash__ = _refuse
    __class__ = property(_refuse)


class HostileText(str):
    def __len__(self) -> int:
        raise RuntimeError("no")

    __str__ = __repr__ = __len__  # type: ignore[assignment]


BAD_NUMBERS = [None, float("nan"), float("inf"), -float("inf"), "12", b"12", 10**400, [], {}, 1j, object(), Hostile()]
BAD_COUNTS = [*BAD_NUMBERS, 1.5, Decimal(3), 2**60, -(10**5000)]
BAD_TEXTS = [None, "", 4, b"Q4", "x" * 257, "\ud800", ["Q4"], object(), Hostile(), HostileText("Q4")]


def bad_calls() -> Iterator[tuple[str, str, tuple[Any, ...]]]:
    """Method, parameter, and arguments of which just that one is bad."""
    good: dict[str, dict[str, Any]] = {
        "record_query": {"tier": "Q4", "latency_ms": 1, "tokens_generated": 1, "generation_time_ms": 1, "is_error": 0},
        "record_routing_decision": {
            "complexity": "SIMPLE",
            "tier": "Q4",
            "score": 1,
            "decision_time_ms": 1,
            "is_fallback": 0,
        },
        "update_model_availability": {"tier": "Q4", "available": 1, "total": 1},
    }
    kinds: dict[tuple[str, ...], list[Any]] = {
        ("tier", "complexity"): BAD_TEXTS,
        ("latency_ms", "generation_time_ms", "score", "decision_time_ms"): BAD_NUMBERS,
        ("tokens_generated", "available", "total"): BAD_COUNTS,
        ("is_error", "is_fallback"): [Hostile()],
    }
    values = {parameter: bad for parameters, bad in kinds.items() for parameter in parameters}
    for method, arguments in good.items():
        for parameter in arguments:
            for value in values[parameter]:
                yield method, parameter, tuple({**arguments, parameter: value}.values())


def test_what_cannot_be_recorded_is_dropped_counted_and_told_once_for_each_parameter(
    recorder: Recorder, collector: MetricsCollector, caplog: pytest.LogCaptureFixture
) -> None:
    calls = list(bad_calls())
    for method, _, arguments in calls:
        getattr(collector, method)(*arguments)
    assert collector.flush(0)
    assert counts(collector) == (0, 0, len(calls))
    parameters = list(dict.fromkeys((method, parameter) for method, parameter, _ in calls))
    told = warnings(caplog)
    assert len(told) == len(parameters) == 13
    assert told[0] == "a query record is dropped: tier is not a text of 1 to 256 characters (NoneType) (said once)"
    collector.record_query("Q4", 1.0)
    assert collector.flush(LIMIT_SECONDS)
    assert counts(collector) == (1, 0, len(calls))
    assert len(recorder.received) == 1


def test_a_value_that_changes_later_is_sent_as_it_was(recorder: Recorder, collector: MetricsCollector) -> None:
    recorder.is_open.clear()
    latency = Float32(1.0)
    collector.record_query("Q4", 0.0)
    collector.record_query("Q4", latency)  # type: ignore[arg-type]
    latency.value = 99.0
    recorder.is_open.set()
    assert collector.flush(LIMIT_SECONDS)
    assert [body["latency_ms"] for body in recorder.bodies("query")] == [0.0, 1.0]


# How the sidecar is


def test_a_sidecar_that_does_not_answer_holds_up_nobody_and_what_has_no_room_is_counted(
    recorder: Recorder,
    collector: MetricsCollector,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert CAPACITY == 10_000
    monkeypatch.setattr("exporter.client.outbox.CAPACITY", 300)
    recorder.is_open.clear()
    for _ in range(305):  # this returns, or it would never end
        collector.update_model_availability("Q4", 1, 1)
    assert counts(collector) == (0, 0, 5)
    assert warnings(caplog) == [f"300 records wait for 127.0.0.1:{recorder.port}; newer ones are dropped (said once)"]
    assert not collector.flush(0.01)
    recorder.is_open.set()
    recorder.wait_for(100)
    collector.record_query("Q4", 1.0)  # there is room again
    assert collector.flush(60)
    assert counts(collector) == (301, 0, 5)
    assert recorder.received[-1][0] == "/api/metrics/record/query"


def test_records_wait_for_a_sidecar_that_is_away_and_arrive_when_it_is_back(
    recorder: Recorder, collector: MetricsCollector, caplog: pytest.LogCaptureFixture
) -> None:
    collector.record_query("Q4", 0)
    assert collector.flush(LIMIT_SECONDS)
    for turn in (1, 2):
        recorder.stop()
        for call in range(10):
            collector.record_query("Q4", turn * 10 + call)
        assert not collector.flush(0.3)
        recorder.start()
        assert collector.flush(LIMIT_SECONDS)
    assert [body["latency_ms"] for body in recorder.bodies("query")] == [0.0, *map(float, range(10, 30))]
    assert counts(collector) == (21, 0, 0)
    assert warnings(caplog) == [
        f"127.0.0.1:{recorder.port} does not answer (ConnectionRefusedError); records wait (said once)"
    ]


def test_a_connection_that_the_sidecar_has_closed_costs_no_pause(
    recorder: Recorder, collector: MetricsCollector
) -> None:
    recorder.answers = [Reply(headers={"connection": "close"}), Reply()]
    for _ in range(3):
        collector.record_query("Q4", 1.0)
    assert collector.flush(LIMIT_SECONDS)
    assert counts(collector) == (3, 0, 0)
    assert len(recorder.clients) == 2


@pytest.mark.parametrize("status", [500, 502, 503, 429])
def test_who_cannot_take_a_record_now_is_asked_again_with_growing_pauses(
    recorder: Recorder, collector: MetricsCollector, status: int
) -> None:
    recorder.answers = [Reply(status)] * 4
    collector.record_query("Q4", 1.0)
    collector.record_query("Q4", 2.0)
    recorder.wait_for(2)
    assert collector.flush(LIMIT_SECONDS)
    assert [body["latency_ms"] for body in recorder.bodies("query")] == [1.0, 2.0]
    assert counts(collector) == (2, 0, 0)
    pauses = [after - before for before, after in zip(recorder.times, recorder.times[1:4], strict=False)]
    assert pauses[1] >= 0.1
    assert pauses[2] >= 0.2


def test_who_says_when_to_come_again_is_asked_then_even_by_those_in_a_hurry(
    recorder: Recorder, collector: MetricsCollector
) -> None:
    recorder.answers = [Reply(429, {"retry-after": "1"})]
    collector.record_query("Q4", 1.0)
    assert collector.flush(LIMIT_SECONDS)
    assert recorder.times[1] - recorder.times[0] >= 1
    assert counts(collector) == (1, 0, 0)


def test_a_record_at_which_the_sidecar_fails_again_and_again_does_not_hold_up_the_others(
    recorder: Recorder, collector: MetricsCollector
) -> None:
    recorder.answers = [Reply(500)] * ERROR_LIMIT
    collector.record_query("Q4", 1.0)
    collector.record_query("Q4", 2.0)
    assert collector.flush(LIMIT_SECONDS)
    assert [body["latency_ms"] for body in recorder.bodies("query")] == [2.0]
    assert counts(collector) == (1, 0, 1)


def test_come_again_at_once_is_not_taken_at_its_word(recorder: Recorder, collector: MetricsCollector) -> None:
    recorder.answers = [Reply(503, {"retry-after": "0"})] * 3
    collector.record_query("Q4", 1.0)
    assert collector.flush(LIMIT_SECONDS)
    assert recorder.times[-1] - recorder.times[0] >= 0.3


@pytest.mark.parametrize("text", ["soon", "-1", "1.5", "9" * 40, "Wed, 21 Oct 2099 07:28:00 GMT"])
def test_a_retry_after_that_is_no_number_of_seconds_means_nothing(
    recorder: Recorder, collector: MetricsCollector, text: str
) -> None:
    recorder.answers = [Reply(429, {"retry-after": text})]
    collector.record_query("Q4", 1.0)
    assert collector.flush(LIMIT_SECONDS)
    assert counts(collector) == (1, 0, 0)


@pytest.mark.parametrize("status", [301, 400, 401, 403, 404, 405, 413, 422])
def test_a_refusal_is_final_and_told_once(
    recorder: Recorder, collector: MetricsCollector, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    body = b'{"error":"BadRequest","message":"no\\n", "details":{}}' + b"x" * 100_000
    recorder.answers = [Reply(status, {"location": "/elsewhere"}, body), Reply(), Reply(status)]
    for call in range(3):
        collector.record_query("Q4", call)
    assert collector.flush(LIMIT_SECONDS)
    assert counts(collector) == (1, 2, 0)
    assert [sent["latency_ms"] for sent in recorder.bodies("query")] == [1.0]
    (told,) = warnings(caplog)
    assert told.startswith(f'127.0.0.1:{recorder.port} refuses a record: {status} \'{{"error"')
    assert len(told) < 300


def test_who_is_no_http_server_is_taken_for_one_that_is_away(
    make_collector: Make, find_port: Callable[[], int]
) -> None:
    port = find_port()
    with socket.create_server(("127.0.0.1", port)) as listener:

        def babble() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(b"220 smtp.example ESMTP\r\n" * 3)

        thread = threading.Thread(target=babble)
        thread.start()
        collector = make_collector(f"http://127.0.0.1:{port}")
        collector.record_query("Q4", 1.0)
        thread.join(LIMIT_SECONDS)
    collector.close(0.0)
    assert counts(collector) == (0, 0, 1)


# One for a process


def test_there_is_one_collector_for_a_sidecar(find_port: Callable[[], int]) -> None:
    one, other = (f"http://127.0.0.1:{find_port()}" for _ in range(2))
    collectors = [get_metrics_collector(one), get_metrics_collector(one + "/"), get_metrics_collector(base_url=one)]
    try:
        assert len({id(each) for each in collectors}) == 1
        assert get_metrics_collector(other) is not collectors[0]
        assert get_metrics_collector() is get_metrics_collector(None) is get_metrics_collector("")
    finally:
        for each in (collectors[0], get_metrics_collector(other), get_metrics_collector()):
            each.close(0.0)
    fresh = get_metrics_collector(one)
    assert fresh is not collectors[0]
    fresh.close(0.0)


def test_threads_that_ask_together_get_the_same(recorder: Recorder) -> None:
    got: list[MetricsCollector] = []
    gate = threading.Barrier(8)

    def ask() -> None:
        gate.wait()
        got.append(get_metrics_collector(recorder.url))
        got[-1].record_query("Q4", 1.0)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(each) for each in got}) == 1
    assert got[0].flush(LIMIT_SECONDS)
    assert got[0].sent == 8
    got[0].close()


def test_a_key_may_come_later(recorder: Recorder) -> None:
    collector = get_metrics_collector(recorder.url)
    collector.record_query("Q4", 1.0)
    assert collector.flush(LIMIT_SECONDS)
    assert get_metrics_collector(recorder.url, api_key="k") is get_metrics_collector(recorder.url) is collector
    collector.record_query("Q4", 1.0)
    collector.close(LIMIT_SECONDS)
    assert recorder.keys == [None, "k"]


@pytest.mark.parametrize(
    "url",
    [
        "127.0.0.1:9464",
        "ftp://127.0.0.1",
        "http://",
        "http://h:port",
        "http://[",
        "http://h/a b",
        "http://h\n",
        17,
        b"",
    ],
)
def test_a_url_that_is_none_records_nothing_and_says_so(
    url: Any, make_collector: Make, caplog: pytest.LogCaptureFixture
) -> None:
    collector = make_collector(url)
    collector.record_query("Q4", 1.0)
    collector.record_query("Q4", 1.0)
    assert collector.flush(LIMIT_SECONDS)
    assert counts(collector) == (0, 0, 2)
    assert warnings(caplog) == ["nothing is recorded: the URL must look like http://127.0.0.1:9464 (said once)"]


# The end


def test_closed_it_has_sent_everything_and_takes_nothing_more(recorder: Recorder, collector: MetricsCollector) -> None:
    for _ in range(20):
        collector.record_query("Q4", 1.0)
    collector.close(LIMIT_SECONDS)
    assert len(recorder.received) == 20
    assert not [thread for thread in threading.enumerate() if thread.name == "llama-exporter-client"]
    collector.record_query("Q4", 1.0)
    collector.close()
    assert counts(collector) == (20, 0, 1)


def test_closing_gives_up_what_a_sidecar_that_hangs_does_not_take(
    recorder: Recorder, collector: MetricsCollector
) -> None:
    recorder.is_open.clear()
    for _ in range(20):
        collector.record_query("Q4", 1.0)
    collector.close(0.05)
    assert counts(collector) == (0, 0, 20)
    recorder.is_open.set()
    recorder.wait_for(1)
    collector.close(LIMIT_SECONDS)
    assert len(recorder.received) == 1  # the one that was on its way; no other follows
    assert counts(collector) == (0, 0, 20)


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf"), 1e300])
def test_any_number_is_a_timeout(recorder: Recorder, collector: MetricsCollector, timeout: float) -> None:
    collector.record_query("Q4", 1.0)
    recorder.wait_for(1)
    collector.flush(timeout)
    collector.close(timeout)
    assert sum(counts(collector)) == 1


def test_a_signal_handler_may_record_in_the_middle_of_a_record(recorder: Recorder, collector: MetricsCollector) -> None:
    handled: list[int] = []

    def handle(number: int, _: object) -> None:
        handled.append(number)
        collector.record_query("signal", 1.0)

    before = signal.signal(signal.SIGALRM, handle)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
        for _ in range(5000):
            collector.record_query("Q4", 1.0)
        signal.setitimer(signal.ITIMER_REAL, 0)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert collector.flush(60)
    assert handled
    assert collector.sent == 5000 + len(handled) == len(recorder.received)


def test_a_logger_that_raises_is_kept_from_the_application(
    collector: MetricsCollector, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(logging.getLogger("exporter.client"), "warning", fail)
    collector.record_query(None, 1.0)  # type: ignore[arg-type]
    assert counts(collector) == (0, 0, 1)


def test_a_sidecar_that_speaks_no_tls_is_never_sent_a_record_in_clear(
    recorder: Recorder, make_collector: Make, caplog: pytest.LogCaptureFixture
) -> None:
    collector = make_collector(recorder.url.replace("http:", "https:"), api_key="k")
    collector.record_query("Q4", 1.0)
    assert not collector.flush(0.5)
    assert recorder.times == []
    assert "does not answer (SSLError)" in warnings(caplog)[0]


def test_where_no_thread_can_be_started_records_are_dropped_until_one_can(
    recorder: Recorder, collector: MetricsCollector, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", fail)
        collector.record_query("Q4", 1.0)
        collector.record_query("Q4", 2.0)
    assert counts(collector) == (0, 0, 2)
    collector.record_query("Q4", 3.0)
    assert collector.flush(LIMIT_SECONDS)
    assert [body["latency_ms"] for body in recorder.bodies("query")] == [3.0]
    assert counts(collector) == (1, 0, 2)

"""What is happening: figures, requests in flight, llama-servers."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.api.monitoring.documents import Now
from exporter.api.monitoring.figures import amount, summarize
from exporter.api.monitoring.now import MOST_IN_FLIGHT, Facts, Proxy, in_flight, now
from exporter.api.synapse.queries import shape_queries
from exporter.api.vandamme.names import Names
from exporter.api.vandamme.snapshot import active_requests
from exporter.api.views import Views
from exporter.live.active import ActiveRequests
from exporter.observe.observation import Look, Observation
from exporter.record import Outcome
from exporter.store.figures import Past
from tests.api.monitoring.documents import read
from tests.api.views import NOW, WALL, Clock, make_live, make_views
from tests.telemetry.examples import record

FACTS = Facts(keys=True, proxy=Proxy("127.0.0.1", 8001, keys=True), streams=False, sample_seconds=lambda: 2.5)
FRAME = b'data: {"object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"a"}}]}\n\n'


async def ask(views: Views) -> Any:
    return read(Now, now(views, FACTS, await summarize(views)))


def ask_at_once(views: Views) -> Any:
    summaries = {tier: views.windows.summary(views.clock(), views.wall(), tier=tier) for tier in (*views.tiers, None)}
    return read(Now, now(views, FACTS, summaries))


def begin(
    active: ActiveRequests, number: int, *, at: float = 0.0, now: float = NOW, path: str = "/v1/chat/completions"
) -> Observation:
    observation = Observation(
        now=now,
        wall=WALL + at,
        request_id=f"{number:016x}",
        method="POST",
        path=path,
        query=b"",
        headers=(),
        look=Look(),
    )
    active.start(observation)
    return observation


async def test_who_it_is() -> None:
    document = await ask(make_views(past=None, recording=False))
    assert (document["version"], document["instance"], document["timestamp"]) == (
        "1.2.3",
        "host:8001",
        "2026-11-20T08:32:30.000Z",
    )
    assert document["started_at"] == "2026-11-19T07:31:29.000Z"
    assert (document["sample_seconds"], document["proxy"]) == (2.5, {"host": "127.0.0.1", "port": 8001, "keys": True})
    assert [document[each] for each in ("recording", "history", "streams", "keys")] == [False, False, False, True]
    assert document["servers_sampled"]


async def test_nothing_recorded_is_zero_and_unknown() -> None:
    document = await ask(make_views())
    unknown = {"p50": None, "p95": None}
    nothing = {
        "requests": 0,
        "failed": 0,
        "duration_seconds": unknown,
        "ttft_seconds": unknown,
        "output_tokens_per_second": unknown,
    }
    assert document["figures"] == nothing
    assert document["tiers"] == [{"name": tier, **nothing} for tier in ("Q2", "Q3", "Q4")]
    assert document["in_flight"] == []
    assert document["trend"]["requests"] == [0] * 180


async def test_figures_of_all_and_of_each_tier() -> None:
    clock = Clock()
    live = make_live(clock)
    live.record(record(tier="Q2", duration_seconds=1.0, ttft_seconds=0.1, output_tokens_per_second=None))
    live.record(record(tier="Q4", duration_seconds=9.0, ttft_seconds=None, outcome=Outcome.TIMEOUT))
    live.record(record(tier="elsewhere", duration_seconds=9.0, ttft_seconds=None))
    document = await ask(make_views(live, clock, tiers=("Q4", "Q2")))
    assert (document["figures"]["requests"], document["figures"]["failed"]) == (3, 1)
    assert document["figures"]["duration_seconds"]["p50"] == pytest.approx(9.0, rel=0.03)
    q4, q2 = document["tiers"]
    assert [(each["name"], each["requests"], each["failed"]) for each in (q4, q2)] == [("Q4", 1, 1), ("Q2", 1, 0)]
    assert q2["duration_seconds"] == {"p50": pytest.approx(1.0, rel=0.03), "p95": pytest.approx(1.0, rel=0.03)}
    assert q2["ttft_seconds"]["p95"] == pytest.approx(0.1, rel=0.03)
    assert q2["output_tokens_per_second"] == q4["ttft_seconds"] == {"p50": None, "p95": None}


@settings(deadline=None)
@given(st.lists(st.floats(0, 400), max_size=40), st.floats(0, 30))
def test_the_trend_agrees_with_the_rates_of_the_metrics_contract(pauses: list[float], wait: float) -> None:
    clock = Clock()
    live = make_live(clock)
    for pause in pauses:
        clock.now += pause
        live.record(record())
    clock.now += wait
    views = make_views(live, clock)
    trend = ask_at_once(views)["trend"]
    theirs = shape_queries(views.windows, views.tiers, clock(), clock.wall())
    assert len(trend["requests"]) == 180
    assert [count / trend["step_seconds"] for count in trend["requests"][-18:]] == theirs["queryRate"]
    assert views.windows.recent(clock(), clock.wall(), 180)[0].starts_at % 10 == 0
    assert sum(trend["requests"]) <= len(pauses)


def test_requests_in_flight_are_those_of_the_other_list_in_its_order() -> None:
    active = ActiveRequests()
    for number, at in enumerate((1.0, 3.5, 3.5, 2.0) * 60):
        begin(active, number, at=at, now=NOW + number % 7)
    begin(active, 999, path="/v1/models")
    theirs = [row["request_id"] for row in active_requests(active, Names(()), NOW + 5)]
    ours = ask_at_once(make_views(active=active))["in_flight"]
    assert [each["request_id"] for each in ours] == theirs[:MOST_IN_FLIGHT]
    assert len(theirs) == 240


def test_a_request_in_flight() -> None:
    active = ActiveRequests()
    observation = begin(active, 1)
    row = {
        "request_id": "0000000000000001",
        "tier": "unknown",
        "upstream": None,
        "ttft_seconds": None,
        "output_tokens_per_second": None,
    }
    assert in_flight(active) == [row]
    observation.route(upstream="Q4", provider="llama_cpp", tier="Q4")
    row |= {"tier": "Q4", "upstream": "Q4"}
    observation.answer(NOW + 0.1, 200, [(b"content-type", b"text/event-stream")])
    assert in_flight(active) == [row]
    observation.feed(NOW + 0.25, FRAME)
    assert in_flight(active) == [row | {"ttft_seconds": 0.25}]
    observation.feed(NOW + 0.5, FRAME)
    observation.feed(NOW + 0.75, FRAME)
    assert in_flight(active) == [row | {"ttft_seconds": 0.25, "output_tokens_per_second": 4.0}]


def test_chunks_of_the_same_moment_have_no_speed() -> None:
    active = ActiveRequests()
    observation = begin(active, 1)
    observation.answer(NOW, 200, [(b"content-type", b"text/event-stream")])
    observation.feed(NOW + 0.5, FRAME * 3)
    assert in_flight(active)[0]["output_tokens_per_second"] is None


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), None])
def test_what_is_no_number_is_unknown(value: float | None) -> None:
    assert amount(value) is None


RECORDS = st.builds(
    record,
    tier=st.sampled_from(["Q2", "Q4", "?"]),
    duration_seconds=st.floats(0, 1e9),
    ttft_seconds=st.none() | st.floats(0, 1e9),
    output_tokens_per_second=st.none() | st.floats(0),
    outcome=st.sampled_from(Outcome),
)


@settings(deadline=None)
@given(st.lists(RECORDS, max_size=5))
def test_whatever_was_recorded_can_be_read(records: list[Any]) -> None:
    clock = Clock()
    live = make_live(clock)
    for each in records:
        live.record(each)
    assert ask_at_once(make_views(live, clock))["figures"]["requests"] == len(records)


async def test_it_says_whether_there_is_a_history() -> None:
    class Empty:
        """A store; nobody asks it."""

    past: Past = Empty()  # type: ignore[assignment]
    assert (await ask(make_views(past=past)))["history"] is True


def test_its_llama_servers_are_those_that_are_configured() -> None:
    document = ask_at_once(make_views())
    assert [(each["name"], each["up"]) for each in document["upstreams"]] == [("Q2", None), ("Q3", None), ("Q4", None)]

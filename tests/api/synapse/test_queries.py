"""Rates, windows, tiers and lifetime totals."""

from __future__ import annotations

import pytest

from exporter.api.synapse.figures import figure
from exporter.record import Outcome
from tests.api.synapse.desk import Desk, request
from tests.api.views import Clock

WINDOW = 1800


async def test_only_complete_steps_are_shown() -> None:
    """Half-open steps of 10 s: what finishes now shows when its step is over, and 3 minutes later no more."""
    desk = Desk()  # its clock begins where a step does
    desk.serve()
    assert (await desk.read("queries"))["queryRate"] == [0.0] * 18
    desk.clock.now += 9.999
    assert sum((await desk.read("queries"))["queryRate"]) == 0
    desk.clock.now += 0.001
    document = await desk.read("queries")
    assert document["queryRate"] == [*[0.0] * 17, 0.1]
    assert document["timestamps"][-1] == "2026-11-20T08:32:30Z"
    desk.clock.now += 170
    assert (await desk.read("queries"))["queryRate"] == [0.1, *[0.0] * 17]
    desk.clock.now += 10
    assert sum((await desk.read("queries"))["queryRate"]) == 0


async def test_a_step_takes_its_beginning_and_not_its_end() -> None:
    desk = Desk()
    for seconds in (0, 9.999, 0.001):
        desk.clock.now += seconds
        desk.serve()
    desk.clock.now += 10
    assert (await desk.read("queries"))["queryRate"][-2:] == [0.2, 0.1]


async def test_the_window_slides() -> None:
    """Everything of the last 30 minutes counts, however much it is, and nothing older."""
    desk = Desk()
    for _ in range(400):
        desk.serve(tier="Q2", duration_seconds=1.0)
    desk.clock.now += 900
    desk.serve(tier="Q4", duration_seconds=3.005)
    document = await desk.read("queries")
    assert document["totalQueries"] == 401
    assert document["avgLatencyMs"] == 1005.0
    assert document["tierDistribution"] == {"Q2": 400, "Q3": 0, "Q4": 1}
    desk.clock.now += WINDOW - 900
    assert (await desk.read("queries"))["totalQueries"] == 401
    desk.clock.now += 10
    document = await desk.read("queries")
    assert (document["totalQueries"], document["avgLatencyMs"]) == (1, 3005.0)
    assert document["tierDistribution"] == {"Q2": 0, "Q3": 0, "Q4": 1}
    desk.clock.now += 900
    document = await desk.read("queries")
    assert (document["totalQueries"], document["avgLatencyMs"]) == (0, 0.0)


async def test_tiers_that_are_not_configured_count_in_the_total_alone() -> None:
    desk = Desk()
    desk.serve(tier="unknown")
    desk.serve(tier="Q8")
    document = await desk.read("queries")
    assert document["totalQueries"] == 2
    assert document["tierDistribution"] == {"Q2": 0, "Q3": 0, "Q4": 0}
    assert [tier["requestCount"] for tier in (await desk.read("tiers"))["tiers"]] == [0, 0, 0]


async def test_tiers_are_those_that_are_configured() -> None:
    desk = Desk(tiers=("small", "large"))
    desk.serve(tier="large")
    assert (await desk.read("queries"))["tierDistribution"] == {"small": 0, "large": 1}
    tiers = (await desk.read("tiers"))["tiers"]
    assert [(tier["name"], tier["requestCount"]) for tier in tiers] == [("small", 0), ("large", 1)]


async def test_a_tier_shows_its_last_twenty() -> None:
    desk = Desk()
    for number in range(30):
        desk.serve(duration_seconds=number / 1000 + 0.000004, output_tokens_per_second=number + 0.126)
    desk.serve(duration_seconds=2.0, output_tokens_per_second=None, outcome=Outcome.TIMEOUT)
    tier = (await desk.read("tiers"))["tiers"][0]
    assert tier["latencyMs"] == [*[float(number) for number in range(11, 30)], 2000.0]
    assert tier["tokensPerSec"] == [number + 0.13 for number in range(10, 30)]
    assert tier["requestCount"] == 31
    assert tier["errorRate"] == 0.032


async def test_few_samples_are_not_padded() -> None:
    desk = Desk()
    desk.serve(duration_seconds=0.25, output_tokens_per_second=None)
    tier = (await desk.read("tiers"))["tiers"][0]
    assert (tier["latencyMs"], tier["tokensPerSec"]) == ([250.0], [])


@pytest.mark.parametrize(("speed", "drawn"), [(float("inf"), 1e15), (-1.0, 0.0), (1e300, 1e15), (0.004, 0.0)])
async def test_what_no_page_can_draw(speed: float, drawn: float) -> None:
    desk = Desk()
    desk.serve(output_tokens_per_second=speed)
    assert (await desk.read("tiers"))["tiers"][0]["tokensPerSec"] == [drawn]


def test_what_is_no_number_is_nothing() -> None:
    assert figure(float("nan")) == figure(None) == figure(-0.0) == figure(float("-inf")) == 0.0


async def test_historical() -> None:
    desk = Desk(started=Clock()() - 2 * 86_400 - 5 * 3600 - 59)
    for number in range(100):
        failed = number < 3
        desk.live.record(
            request(
                duration_seconds=10.0 if number >= 98 else 0.5,
                outcome=Outcome.STREAM_ERROR if failed else Outcome.COMPLETED,
                input_tokens=None if failed else 100,
                cached_tokens=None if failed else 25,
            )
        )
    desk.serve(inference=False)  # not a query
    document = await desk.read("historical")
    percentiles = {key: document.pop(key) for key in ("p95LatencyMs", "p99LatencyMs")}
    assert percentiles == pytest.approx({"p95LatencyMs": 500, "p99LatencyMs": 10_000}, rel=0.021)
    assert document == {
        "totalRequests": 100,
        "totalErrors": 3,
        "errorRate": 3.0,
        "avgLatencyMs": 690.0,
        "uptimeDays": 2,
        "uptimeHours": 5,
        "uptimeSeconds": 2 * 86_400 + 5 * 3600 + 59,
        "totalCacheHits": 97 * 25,
        "totalCacheMisses": 97 * 75,
        "cacheHitRate": 25.0,
    }


async def test_historical_totals_stay_when_the_window_has_passed() -> None:
    desk = Desk()
    desk.serve(duration_seconds=1.0)
    desk.clock.now += 2 * WINDOW
    document = await desk.read("historical")
    assert (document["totalRequests"], document["avgLatencyMs"]) == (1, 1000.0)
    assert (document["p95LatencyMs"], document["p99LatencyMs"]) == (0.0, 0.0)


async def test_more_cached_tokens_than_tokens() -> None:
    """A server that counts differently does not make a rate above 1, nor misses below 0."""
    desk = Desk()
    desk.serve(input_tokens=10, cached_tokens=30)
    document = await desk.read("historical")
    assert (document["totalCacheHits"], document["totalCacheMisses"], document["cacheHitRate"]) == (10, 0, 100.0)
    assert (await desk.read("models"))["cacheHitRate"] == 1.0

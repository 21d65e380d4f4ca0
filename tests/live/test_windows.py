"""The window of 30 minutes: buckets, sums, percentiles, clocks that jump, bounded memory."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.live.query import Query
from exporter.live.windows import OTHER, SERIES_LIMIT, TIER_LIMIT, Bucket, Windows
from tests.live.queries import NOW, WALL, query

QUARTERS = st.integers(0, 20_000).map(lambda quarters: quarters / 4)
"""Seconds that floating-point numbers hold exactly."""


def at(seconds: float) -> tuple[float, float]:
    """Both clocks, so many seconds after the start."""
    return NOW + seconds, WALL + seconds


def add(window: Windows, finished: Query) -> None:
    window.add(finished, WALL + finished.at - NOW)


def windows() -> Windows:
    return Windows(NOW, WALL)


def test_buckets_are_complete_and_half_open() -> None:
    window = windows()
    for seconds in (0.0, 9.999, 10.0, 19.0, 20.0):
        add(window, query(at=NOW + seconds))
    assert window.recent(*at(29.999), 3) == [Bucket(WALL - 10, 0), Bucket(WALL, 2), Bucket(WALL + 10, 2)]
    assert window.recent(*at(30.0), 3) == [Bucket(WALL, 2), Bucket(WALL + 10, 2), Bucket(WALL + 20, 1)]


def test_buckets_begin_at_round_times_whenever_the_process_did() -> None:
    window = Windows(NOW, WALL + 3.7)
    assert [bucket.starts_at % 10 for bucket in window.recent(NOW + 60, WALL + 63.7, 18)] == [0.0] * 18


def test_the_window_slides() -> None:
    window = windows()
    add(window, query(latency_seconds=1.0, tier="Q2"))
    add(window, query(latency_seconds=3.0, tier="Q4", at=NOW + 5))
    full = window.sums(*at(10))
    assert (full.queries, full.mean_latency_seconds, full.by_tier) == (2, 2.0, {"Q2": 1, "Q4": 1})
    assert window.sums(*at(1809)).queries == 2, "the last 180 complete buckets, and the one that is being filled"
    gone = window.sums(*at(1810))
    assert (gone.queries, gone.mean_latency_seconds, gone.by_tier) == (0, None, {})


def test_percentiles_by_tier_and_model() -> None:
    window = windows()
    for number in range(100):
        add(window, query(tier="Q2", model="a", latency_seconds=(number + 1) / 100, ttft_seconds=0.1))
    add(window, query(tier="Q4", model="b", latency_seconds=9.0, tokens_per_second=None, failed=True, output_tokens=7))
    everything = window.summary(*at(1))
    assert (everything.queries, everything.failed, everything.output_tokens) == (101, 1, 2007)
    small = window.summary(*at(1), tier="Q2")
    assert small.latency_seconds.values == 100
    assert small.latency_seconds.p50 == pytest.approx(0.5, rel=0.05)
    assert small.latency_seconds.p95 == pytest.approx(0.95, rel=0.05)
    assert small.ttft_seconds.p99 == pytest.approx(0.1, rel=0.05)
    large = window.summary(*at(1), model="b")
    assert large.latency_seconds.p50 == pytest.approx(9.0, rel=0.05)
    assert large.tokens_per_second == (0, None, None, None)
    assert window.summary(*at(1), tier="Q2", model="b").queries == 0
    assert window.summary(*at(1860), tier="Q2").queries == 0, "gone after 31 minutes at most"


def test_models_beyond_the_limit_share_one_series() -> None:
    window = windows()
    for number in range(SERIES_LIMIT + 10):
        add(window, query(model=f"m{number}"))
    assert window.summary(*at(1)).queries == SERIES_LIMIT + 10
    assert window.summary(*at(1), model=OTHER).queries == 10
    assert window.summary(*at(1), model="m0").queries == 1


def test_a_tier_keeps_its_requests_whatever_their_models_are() -> None:
    window = windows()
    for number in range(SERIES_LIMIT + 10):
        add(window, query(tier="Q4", model=f"m{number}"))
    assert window.summary(*at(1), tier="Q4").queries == SERIES_LIMIT + 10


def test_names_of_tiers_are_bounded_too() -> None:
    window = windows()
    count = SERIES_LIMIT + TIER_LIMIT + 10
    for number in range(count):
        add(window, query(tier=f"t{number}"))
    assert window.summary(*at(1)).queries == count
    assert window.summary(*at(1), tier=OTHER).queries == 10
    assert len(window._cells[-1].series) == SERIES_LIMIT + TIER_LIMIT + 1


def test_memory_is_bounded_in_time() -> None:
    window = windows()
    for number in range(1000):
        add(window, query(at=NOW + 10 * number))
    assert len(window._buckets) == 181
    assert len(window._cells) == 31


def test_a_machine_that_slept_has_an_old_window() -> None:
    window = windows()
    add(window, query())
    slept = 3600.0
    assert window.sums(NOW + 60, WALL + 60 + slept).queries == 0
    assert window.recent(NOW + 60, WALL + 60 + slept, 1) == [Bucket(WALL + 50 + slept, 0)]
    window.add(query(at=NOW + 61), WALL + 61 + slept)
    assert window.sums(NOW + 62, WALL + 62 + slept).queries == 1


def test_what_finishes_after_a_sleep_counts_though_nobody_has_looked_since() -> None:
    window = windows()
    window.add(query(at=NOW + 61), WALL + 61 + 3600)
    assert window.sums(NOW + 131, WALL + 131 + 3600).queries == 1


def test_latencies_of_everything_are_those_of_all_series() -> None:
    window = windows()
    for number in range(300):
        add(window, query(at=NOW + number, model=f"m{number % 5}", latency_seconds=number / 10))
    for _ in range(2):  # minutes that are over are put together once
        assert window.latency(*at(300)) == window.summary(*at(300)).latency_seconds
    add(window, query(at=NOW + 300, latency_seconds=1000.0))
    assert window.latency(*at(301)).values == 301
    assert window.latency(*at(301)) == window.summary(*at(301)).latency_seconds
    assert window.latency(*at(5000)).values == 0


def test_minutes_that_are_over_are_summed_up_by_tier_as_if_anew() -> None:
    """They are put together once, and then never again."""
    asked, fresh = windows(), windows()
    for number in range(300):
        made = query(
            at=NOW + number,
            tier=f"Q{number % 3}",
            model=f"m{number % 7}",
            latency_seconds=number / 10,
            failed=number % 5 == 0,
        )
        for window in (asked, fresh):
            add(window, made)
        for tier in ("Q0", "Q1", "nobody's", None):
            asked.summary(*at(number), tier=tier)
    for tier in ("Q0", "Q1", "Q2", "nobody's", None):
        by_model = [fresh.summary(*at(300), tier=tier, model=f"m{number}") for number in range(7)]
        whole = asked.summary(*at(300), tier=tier)
        assert whole == fresh.summary(*at(300), tier=tier)
        assert (whole.queries, whole.failed) == (
            sum(each.queries for each in by_model),
            sum(each.failed for each in by_model),
        )
    assert asked.summary(*at(300)).queries == 300
    assert asked.summary(*at(5000), tier="Q0").queries == 0


def test_a_wall_clock_that_was_set_back_only_moves_what_is_said_of_the_beginnings() -> None:
    window = windows()
    add(window, query(at=NOW + 5))
    assert window.recent(NOW + 10, WALL + 10 - 600, 1) == [Bucket(WALL - 600, 1)]
    assert window.sums(NOW + 10, WALL + 10 - 600).queries == 1


@given(st.lists(st.tuples(QUARTERS, st.sampled_from(["Q2", "Q3", "Q4"])), max_size=60), QUARTERS)
def test_sums_are_those_of_a_list(events: list[tuple[float, str]], after: float) -> None:
    window = windows()
    for seconds, tier in sorted(events):
        add(window, query(at=NOW + seconds, tier=tier, latency_seconds=seconds))
    now, wall = at(max([after, *(seconds for seconds, _ in events)]))
    oldest = now // 10 * 10 - 1800
    inside = [(seconds, tier) for seconds, tier in events if NOW + seconds >= oldest]
    totals = window.sums(now, wall)
    assert totals.queries == len(inside)
    assert totals.by_tier == {tier: n for tier in ("Q2", "Q3", "Q4") if (n := sum(t == tier for _, t in inside))}
    if inside:
        assert totals.mean_latency_seconds == pytest.approx(sum(seconds for seconds, _ in inside) / len(inside))
    recent = window.recent(now, wall, 18)
    assert [bucket.queries for bucket in recent] == [
        sum(bucket.starts_at <= WALL + seconds < bucket.starts_at + 10 for seconds, _ in events) for bucket in recent
    ]

"""Courses of tiers and models."""

from __future__ import annotations

from exporter.live.history import SUBJECT_LIMIT, History
from tests.live.queries import WALL, query


def test_a_tier_keeps_its_last_requests_and_its_sums() -> None:
    history = History()
    for number in range(25):
        history.add(query(latency_seconds=float(number), tokens_per_second=number * 2.0, failed=number < 5))
    course = history.tiers["Q2"]
    assert list(course.latencies_seconds) == [float(number) for number in range(5, 25)]
    assert list(course.speeds) == [number * 2.0 for number in range(5, 25)]
    assert (course.queries, course.failed, course.failed_share) == (25, 5, 0.2)
    assert course.mean_seconds == 12.0
    assert course.last_wall == WALL + 24


def test_a_speed_that_is_not_known_is_left_out() -> None:
    history = History()
    history.add(query(tokens_per_second=None))
    assert list(history.tiers["Q2"].speeds) == []
    assert len(history.tiers["Q2"].latencies_seconds) == 1


def test_models_are_those_that_served() -> None:
    history = History()
    history.add(query(model="auto", served_model="a"))
    history.add(query(model="a", served_model="a"))
    history.add(query(served_model=None))
    history.add(query(upstream=None, served_model=None))
    assert {key: course.queries for key, course in history.models.items()} == {("Q2", "a"): 2, ("Q2", ""): 1}


def test_a_course_without_requests_has_no_mean() -> None:
    history = History()
    assert dict(history.tiers) == {}
    history.add(query())
    assert history.tiers["Q2"].failed_share == 0.0


def test_there_are_only_so_many_courses() -> None:
    history = History()
    for number in range(SUBJECT_LIMIT + 5):
        history.add(query(tier=f"t{number}", served_model=f"m{number}"))
    assert len(history.tiers) == len(history.models) == SUBJECT_LIMIT
    history.add(query(tier="t0"))
    assert history.tiers["t0"].queries == 2, "those that are known are counted on"

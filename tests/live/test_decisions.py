"""The decision matrix."""

from __future__ import annotations

import pytest

from exporter.live.decisions import TIER_LIMIT, Decisions
from exporter.record import Complexity, Decision, RoutingReason
from tests.live.queries import WALL

DECISION = Decision(RoutingReason.COMPLEXITY, Complexity.SIMPLE, 1.5, "Q2", fallback=False, seconds=0.00001)


def test_fields_count_and_average() -> None:
    decisions = Decisions()
    decisions.add("Q2", DECISION, WALL)
    decisions.add("Q2", DECISION._replace(score=2.5), WALL)
    decisions.add("Q2", DECISION._replace(score=None), WALL)
    decisions.add("Q4", DECISION._replace(complexity=Complexity.COMPLEX, score=9.0, fallback=True), WALL)
    small = decisions.matrix[Complexity.SIMPLE, "Q2"]
    assert (small.count, small.mean_score) == (3, 2.0), "a decision without a score is counted and not averaged"
    assert decisions.matrix[Complexity.COMPLEX, "Q4"].count == 1
    assert (decisions.total, decisions.fallbacks, decisions.fallback_share) == (4, 1, 0.25)


def test_time_is_that_of_the_last_hundred() -> None:
    decisions = Decisions()
    for number in range(150):
        decisions.add("Q2", DECISION._replace(seconds=1.0 if number < 50 else 0.002), WALL + number)
    assert decisions.mean_seconds == pytest.approx(0.002)
    assert [each.wall - WALL for each in decisions.newest] == list(range(140, 150))


def test_before_any_decision_nothing_is_known() -> None:
    decisions = Decisions()
    assert (decisions.mean_seconds, decisions.fallback_share, decisions.total) == (None, None, 0)
    assert dict(decisions.matrix) == {}


def test_there_are_only_so_many_tiers() -> None:
    decisions = Decisions()
    for number in range(TIER_LIMIT + 5):
        decisions.add(f"t{number}", DECISION, WALL)
    assert len(decisions.matrix) == TIER_LIMIT
    assert decisions.total == TIER_LIMIT + 5

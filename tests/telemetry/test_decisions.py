from itertools import product

import pytest

from exporter.record import Complexity, Decision
from exporter.telemetry import decisions
from exporter.telemetry.buckets import Buckets
from exporter.telemetry.decisions import DecisionMetrics
from exporter.telemetry.guard import Guard
from exporter.telemetry.instruments import Counter, Histogram
from tests.telemetry.examples import DECISION


def made(*tiers: str, guard: Guard | None = None) -> DecisionMetrics:
    return DecisionMetrics((guard or Guard()).overflow, Buckets(), tiers, lambda: 0.0)


def counts(metrics: DecisionMetrics) -> dict[tuple[str, ...], float]:
    """Decisions by complexity, tier and fallback."""
    family = metrics.families()[0]
    assert isinstance(family, Counter)
    return {series.labels: series.value for series in family.all()}


def histogram(metrics: DecisionMetrics, place: int) -> dict[tuple[str, ...], tuple[int, float]]:
    """Number and sum of the observations by labels."""
    family = metrics.families()[place]
    assert isinstance(family, Histogram)
    return {series.labels: (series.count, series.total) for series in family.all()}


def overflow(guard: Guard) -> dict[tuple[str, ...], float]:
    return {series.labels: series.value for series in guard.overflow.all()}


def simple(score: float | None = 0.75) -> Decision:
    return DECISION._replace(complexity=Complexity.SIMPLE, score=score)


def test_nothing_is_shown_where_nothing_is_routed() -> None:
    guard = Guard()
    before = overflow(guard)
    assert all(family.all() == () for family in made(guard=guard).families())
    assert overflow(guard) == before


def test_all_counters_of_known_tiers_are_there_from_the_start() -> None:
    guard = Guard()
    metrics = made("Q2", "Q4", guard=guard)
    levels = ("SIMPLE", "MODERATE", "COMPLEX")
    assert counts(metrics) == dict.fromkeys(product(levels, ("Q2", "Q4"), ("false", "true")), 0)
    assert histogram(metrics, 1) == {}
    assert histogram(metrics, 2) == {(): (0, 0.0)}
    assert overflow(guard)["tier",] == 0


def test_decisions_are_counted_where_the_request_went() -> None:
    metrics = made("Q2", "Q4")
    metrics.record("Q4", DECISION)
    metrics.record("Q4", DECISION)
    metrics.record("Q2", DECISION._replace(fallback=True, score=8.0, seconds=0.25))
    counted = {labels: value for labels, value in counts(metrics).items() if value}
    assert counted == {("COMPLEX", "Q4", "false"): 2, ("COMPLEX", "Q2", "true"): 1}
    assert histogram(metrics, 1) == {("COMPLEX", "Q4"): (2, 14.5), ("COMPLEX", "Q2"): (1, 8.0)}
    assert histogram(metrics, 2) == {(): (3, 0.000015 + 0.000015 + 0.25)}


def test_a_complexity_without_a_score_is_counted_all_the_same() -> None:
    metrics = made()
    metrics.record("Q2", simple(score=None))
    assert counts(metrics)["SIMPLE", "Q2", "false"] == 1
    assert histogram(metrics, 1) == {}
    metrics.record("Q2", simple(score=0.0))
    assert histogram(metrics, 1) == {("SIMPLE", "Q2"): (1, 0.0)}


def test_a_tier_seen_first_has_all_its_counters_from_then_on() -> None:
    metrics = made("Q2")
    metrics.record("Q8", simple())
    of_tier = {labels: value for labels, value in counts(metrics).items() if labels[1] == "Q8"}
    assert len(of_tier) == 6
    assert [labels for labels, value in of_tier.items() if value] == [("SIMPLE", "Q8", "false")]


def test_tiers_are_few_and_safe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decisions, "TIER_LIMIT", 2)
    guard = Guard()
    metrics = made("Q2", guard=guard)
    for tier in ("a\nb", "c", "d", "c", "a\nb", "Q2"):
        metrics.record(tier, simple())
    counted = {labels[1]: value for labels, value in counts(metrics).items() if value}
    assert counted == {"Q2": 1, "a\N{REPLACEMENT CHARACTER}b": 2, "other": 3}
    assert overflow(guard)["tier",] == 3

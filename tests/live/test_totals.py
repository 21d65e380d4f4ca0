"""Sums by provider and model."""

from __future__ import annotations

from exporter.live.totals import Sums, Totals
from tests.live.queries import WALL, query


def test_sums_by_provider_model_and_streaming() -> None:
    totals = Totals()
    totals.add(query(stream=True, latency_seconds=2.0))
    totals.add(query(stream=False, failed=True, wall=WALL + 9))
    totals.add(query(provider="vllm", resolved_model="big", wall=WALL - 5))
    tiny = totals.providers["llama_cpp"]["tiny"]
    assert tiny.streamed == Sums(1, 0, 10, 20, 4, 1, 2, 3, 2.0)
    assert tiny.plain == Sums(1, 1, 10, 20, 4, 1, 2, 3, 0.5)
    assert tiny.whole() == Sums(2, 1, 20, 40, 8, 2, 4, 6, 2.5)
    assert tiny.last_wall == WALL + 9
    assert totals.providers["vllm"]["big"].last_wall == WALL - 5
    assert totals.whole() == Sums(3, 1, 30, 60, 12, 3, 6, 9, 3.0)
    assert totals.whole().mean_seconds == 1.0


def test_nothing_is_nothing() -> None:
    assert Totals().whole() == Sums()
    assert Sums().mean_seconds == 0.0


def test_asking_does_not_change_the_sums() -> None:
    totals = Totals()
    totals.add(query(stream=True))
    totals.whole()
    totals.providers["llama_cpp"]["tiny"].whole()
    assert totals.whole().requests == 1

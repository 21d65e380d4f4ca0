"""Sums by provider and model."""

from __future__ import annotations

from exporter.live.totals import ModelSums, Sums, Totals
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


BEFORE = ModelSums(streamed=Sums(5, 1, 50, 60, 7, 8, 9, 10, 11.5), plain=Sums(2, 0, 3, 4), last_wall=WALL - 100)


def test_sums_go_on_from_what_was_before_the_start() -> None:
    """In whichever order: the store can be opened after requests have finished."""
    for early in (True, False):
        totals = Totals()
        if early:
            totals.restore("llama_cpp", "tiny", BEFORE)
        totals.add(query(stream=True, latency_seconds=2.0))
        if not early:
            totals.restore("llama_cpp", "tiny", BEFORE)
        tiny = totals.providers["llama_cpp"]["tiny"]
        assert tiny.streamed == Sums(6, 1, 60, 80, 11, 9, 11, 13, 13.5)
        assert tiny.plain == Sums(2, 0, 3, 4)
        assert tiny.last_wall == WALL
        assert totals.whole() == Sums(1, 0, 10, 20, 4, 1, 2, 3, 2.0)  # of this run alone
    assert Sums(5, 1, 50, 60, 7, 8, 9, 10, 11.5) == BEFORE.streamed  # what was handed over is as it was


def test_models_that_have_not_been_asked_since_the_start() -> None:
    totals = Totals()
    totals.restore("vllm", "big", BEFORE)
    totals.restore("vllm", "big", ModelSums(plain=Sums(requests=1), last_wall=WALL))  # in parts
    totals.add(query())
    for _ in range(2):  # to ask does not add
        assert {provider: set(models) for provider, models in totals.providers.items()} == {
            "vllm": {"big"},
            "llama_cpp": {"tiny"},
        }
        assert totals.providers["vllm"]["big"].plain.requests == 3
        assert totals.providers["vllm"]["big"].last_wall == WALL
        assert totals.providers["llama_cpp"]["tiny"].whole().requests == 1
    totals.add(query())
    assert totals.providers["llama_cpp"]["tiny"].whole().requests == 2

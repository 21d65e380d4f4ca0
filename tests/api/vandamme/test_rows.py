"""What is counted where: requests in flight beside finished ones, filters, names."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from exporter.api.vandamme import rows
from exporter.api.vandamme.names import Names
from exporter.api.vandamme.rows import Filter
from exporter.live.active import ActiveRequests
from exporter.record import Outcome
from tests.api.vandamme.records import record
from tests.api.vandamme.traffic import get, in_flight
from tests.api.views import WALL, make_live, make_views


async def report(*records: Any, active: tuple[Any, ...] = (), query: str = "", **fields: Any) -> Any:
    live, flying = make_live(), ActiveRequests()
    for each in records:
        live.record(each)
    for each in active:
        flying.start(each)
    answer = await get(f"/metrics/running-totals{query}", make_views(live, active=flying, **fields))
    assert answer.status_code == 200
    return yaml.safe_load(answer.text)


async def test_a_request_in_flight_counts_once_and_in_no_average() -> None:
    ended = record(requested_model="tiny", duration_seconds=2.0, started_at=WALL)
    failed = record(requested_model="tiny", duration_seconds=1.0, outcome=Outcome.TIMEOUT, stream=False)
    running = in_flight(model="tiny", stream=True, started_at=WALL + 7)
    told = await report(ended, failed, active=(running, in_flight(2, model="new")))
    summary, provider = told["summary"], told["providers"]["llama_cpp"]
    assert (summary["total_requests"], summary["active_requests"], summary["total_errors"]) == (4, 2, 1)
    assert (summary["average_duration_ms"], summary["total_duration_ms"]) == (1500, 3000)
    assert summary["streaming_average_duration_ms"] == 2000
    assert summary["non_streaming_average_duration_ms"] == 1000
    assert provider["rollup"]["avg_duration_ms"] == 1500
    tiny, new = provider["models"]["tiny"], provider["models"]["new"]
    assert [tiny[side]["requests"] for side in ("total", "streaming", "non_streaming")] == [3, 2, 1]
    assert tiny["streaming"]["average_duration_ms"] == 2000
    assert new["total"]["requests"] == new["non_streaming"]["requests"] == 1
    assert new["total"]["average_duration_ms"] == 0
    assert "streaming" not in new
    assert tiny["last_accessed"] == summary["last_accessed"]["top"] == "2026-11-20T08:32:37Z"


async def test_tokens_and_tools_of_finished_requests() -> None:
    counts = {"input_tokens": 50, "cached_tokens": 20, "output_tokens": 11, "tool_calls": 3}
    told = await report(
        record(**counts, tool_uses=4, tool_results=5),
        record(**counts, tool_uses=4, tool_results=5, stream=False),
        active=(in_flight(model="tiny", tools=[], messages=[{"role": "tool", "content": "x"}]),),
    )
    total = told["providers"]["llama_cpp"]["rollup"]["total"]
    assert total["requests"] == 3
    assert (total["input_tokens"], total["output_tokens"], total["cache_read_tokens"]) == (100, 22, 40)
    assert (total["tool_calls"], total["tool_uses"], total["tool_results"]) == (6, 8, 10)
    summary = told["summary"]
    assert summary["cache_read_tokens"] == summary["total_cache_read_tokens"] == 40
    assert (summary["total_tool_uses"], summary["total_tool_results"], summary["total_tool_calls"]) == (8, 10, 6)


async def test_without_active_requests_only_their_time_and_number_are_told() -> None:
    ended = record(requested_model="tiny", started_at=WALL)
    running = (in_flight(model="new", started_at=WALL + 9), in_flight(2, path="/tokenize", started_at=WALL + 20))
    told = await report(ended, active=running, query="?include_active=0")
    assert (told["summary"]["total_requests"], told["summary"]["active_requests"]) == (1, 1)
    assert list(told["providers"]["llama_cpp"]["models"]) == ["tiny"]
    assert told["summary"]["last_accessed"]["top"] == told["providers"]["llama_cpp"]["last_accessed"]
    assert told["summary"]["last_accessed"]["top"] == "2026-11-20T08:32:39Z"


async def test_filters_choose_rows_but_neither_times_nor_the_number_in_flight() -> None:
    ended = [record(requested_model=f"m{number}", started_at=WALL + number) for number in range(4)]
    told = await report(*ended, active=(in_flight(model="m2"),), query="?model=M[12]*")
    assert told["providers"] == {}
    assert (told["summary"]["total_requests"], told["summary"]["active_requests"]) == (0, 1)
    told = await report(*ended, active=(in_flight(model="m2"),), query="?model=?2&provider=")
    assert list(told["providers"]["llama_cpp"]["models"]) == ["m2"]
    assert told["summary"]["total_requests"] == told["providers"]["llama_cpp"]["rollup"]["total"]["requests"] == 2
    assert told["providers"]["llama_cpp"]["last_accessed"] == "2026-11-20T08:32:33Z"


async def test_a_provider_in_front_of_a_model_makes_no_other_model() -> None:
    told = await report(
        record(requested_model="tiny"),
        record(requested_model="LLAMA_CPP:tiny", stream=False),
        record(requested_model="llama3.1:8b"),
        active=(in_flight(model="llama_cpp:tiny"),),
    )
    models = told["providers"]["llama_cpp"]["models"]
    assert {name: entry["total"]["requests"] for name, entry in models.items()} == {"llama3.1:8b": 1, "tiny": 3}


async def test_who_names_no_model_stands_under_the_one_that_there_is() -> None:
    def only_model(upstream: str | None) -> str | None:
        return "/srv/tiny.gguf" if upstream == "Q4" else None

    running = (in_flight(1), in_flight(2, upstream="Q2"))
    told = await report(active=running, only_model=only_model)
    assert list(told["providers"]["llama_cpp"]["models"]) == ["tiny.gguf", "unknown"]


async def test_providers_and_models_by_code_point() -> None:
    names = ("b", "B", "a", "é", "Z", "_", "10", "9")
    records = [record(provider=provider, requested_model=name) for provider in ("z", "A", "a") for name in names]
    told = await report(*records)
    assert list(told["providers"]) == ["A", "a", "z"]
    assert list(told["providers"]["a"]["models"]) == sorted(names)


@pytest.mark.parametrize(
    ("pattern", "name", "admitted"),
    [
        ("", "anything", True),
        ("*", "", True),
        ("LLAMA*", "llama3.1:8b", True),
        ("llama", "llama3.1", False),
        ("?lama*8B", "LLAMA3.1:8b", True),
        ("?", "", False),
        ("[l]*", "llama", False),
        ("[l]*", "[L]ama", True),
        ("a.c", "abc", False),
        ("a*\n*c", "a\n\nc", True),
        ("*" * 5000 + "a", "banana", True),
        ("*a" * 5000, "banana", False),
        ("STRASSE", "straße", False),
    ],
)
def test_patterns(pattern: str, name: str, admitted: bool) -> None:
    assert Filter(model=pattern).admits("any", name) is admitted
    assert Filter(provider=pattern).admits(name, "any") is admitted


@pytest.mark.parametrize("pattern", ["*a" * 30_000, "?" * 60_000, "banana" * 10_000])
def test_patterns_that_are_too_long_to_match_cost_nothing(pattern: str) -> None:
    compiled = rows._compiled.cache_info().misses
    assert not any(Filter(model=pattern).admits("any", name) for name in ("banana", "b" * 256))
    assert rows._compiled.cache_info().misses == compiled


def test_both_filters_must_admit() -> None:
    assert Filter("a*", "b*").admits("ab", "ba")
    assert not Filter("a*", "b*").admits("ab", "ab")
    assert not Filter("b*", "b*").admits("ab", "ba")


def test_what_is_before_a_colon() -> None:
    names = Names(("llama_cpp",))
    assert names.split("llama_cpp:x") == ("llama_cpp:", "x")
    assert names.split("llama3.1:8b") == ("", "llama3.1:8b")
    assert names.split("llama_cpp:x").whole == "llama_cpp:x"

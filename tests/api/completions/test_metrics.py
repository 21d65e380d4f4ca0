"""Figures from sums."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from exporter.api.completions.documents import Metrics
from exporter.api.completions.metrics import mean, mean_ms, metrics
from exporter.store.figures import Figures, Group, Sums
from tests.api.views import WALL

DOCUMENT: TypeAdapter[Metrics] = TypeAdapter(Metrics)


def group(requests: int = 1, **changes: Any) -> Group:
    fields: dict[str, Any] = {
        "outcome": "completed",
        "stream": False,
        "status_code": 200,
        "error_type": None,
        "finish_reason": None,
        "sums": Sums(requests=requests),
    }
    return Group(**(fields | changes))


def figures(*groups: Group, **fields: Any) -> Figures:
    values: dict[str, Any] = {"models": (), "origins": (), "recent": 0}
    return Figures(groups, **(values | fields))


def test_nothing() -> None:
    part = {
        "total": 0,
        "successful": 0,
        "failed": 0,
        "tokens": {"reported_count": 0, "total": 0, "prompt_total": 0, "completion_total": 0},
        "error_types": {},
    }
    assert metrics(figures(), WALL) == {
        "total_requests": 0,
        "successful_requests": 0,
        "failed_requests": 0,
        "recent_requests_24h": 0,
        "streaming_requests": 0,
        "non_streaming_requests": 0,
        "total_tokens_used": 0,
        "avg_tokens_per_request": None,
        "avg_response_time_ms": None,
        "avg_tokens_per_second": None,
        "avg_time_to_first_token_ms": None,
        "avg_time_to_last_token_ms": None,
        "avg_completion_duration_ms": None,
        "top_models": [],
        "top_origins": [],
        "finish_reasons": [],
        "error_types": [],
        "requests": {
            "total": {"total": 0, "successful": 0, "failed": 0, "avg_response_time_ms": 0.0},
            "streamed": {**part, "avg_response_time_ms": 0.0},
            "non_streamed": part,
        },
        "model_distribution": {},
        "origin_distribution": {},
        "success_rate": 0.0,
        "streaming_percentage": 0.0,
        "avg_prompt_tokens": None,
        "avg_completion_tokens": None,
        "avg_total_tokens": None,
        "timestamp": "2026-11-20T08:32:30.000Z",
    }


def test_a_client_that_left_counts_as_failed() -> None:
    found = metrics(figures(group(3), group(2, outcome="client_gone", error_type="client_gone", stream=True)), WALL)
    assert (found["total_requests"], found["successful_requests"], found["failed_requests"]) == (5, 3, 2)
    assert found["error_types"] == [{"type": "streaming_incomplete", "count": 2}]
    assert found["requests"]["streamed"]["error_types"] == {"streaming_incomplete": 2}
    assert found["requests"]["non_streamed"]["error_types"] == {}


def test_the_mean_of_response_times_is_that_of_successes_and_below_of_all() -> None:
    good, bad = Sums(requests=2, duration_us=3_000_000), Sums(requests=1, duration_us=12_000_000)
    found = metrics(figures(group(sums=good, stream=True), group(sums=bad, stream=True, outcome="timeout")), WALL)
    assert found["avg_response_time_ms"] == 1500.0
    assert found["requests"]["total"]["avg_response_time_ms"] == 5000.0
    assert found["requests"]["streamed"]["avg_response_time_ms"] == 5000.0


def test_what_is_alike_is_counted_together() -> None:
    groups = [
        group(4, finish_reason="stop"),
        group(1, finish_reason="stop", stream=True),
        group(5, finish_reason="length"),
        group(2, finish_reason=""),
        group(1, finish_reason="tool_calls", outcome="client_gone"),
        group(1, outcome="upstream_error", status_code=500, error_type="server_error"),
        group(1, outcome="upstream_error", status_code=404, error_type="not_found_error", stream=True),
        group(2, outcome="upstream_error", status_code=429, error_type="http_429"),
    ]
    found = metrics(figures(*groups), WALL)
    assert [(each["reason"], each["count"]) for each in found["finish_reasons"]] == [
        *(("length", 5), ("stop", 5), ("tool_calls", 1)),
    ]
    assert [(each["type"], each["count"]) for each in found["error_types"]] == [
        *(("http_error", 2), ("rate_limit", 2), ("connection_error", 1)),
    ]


def test_five_names_and_all_of_them() -> None:
    names = tuple((f"m{number}", 9 - number) for number in range(8))
    found = metrics(figures(models=names, origins=names[:6], recent=7), WALL)
    assert [each["model"] for each in found["top_models"]] == ["m0", "m1", "m2", "m3", "m4"]
    assert len(found["top_origins"]) == 5
    assert list(found["model_distribution"].items()) == list(names)
    assert list(found["origin_distribution"].items()) == list(names[:6])
    assert found["recent_requests_24h"] == 7


@pytest.mark.parametrize(
    ("total", "count", "scale", "expected"),
    [
        (0, 0, 1, None),
        (0, 3, 1, 0.0),
        (24, 10, 1, 2.4),
        (1, 3, 1, 0.33),
        (2, 3, 1, 0.67),
        # As round() does: to the even digit where it lies exactly between, and by one rounding alone
        (1, 8, 1, 0.12),
        (3, 8, 1, 0.38),
        (5_004_999, 1, 1000, 5005.0),
        (1_124_999, 1000, 1000, 1.12),
        (1_125_000, 1000, 1000, 1.12),
        (1_125_001, 1000, 1000, 1.13),
        (10**24 + 1, 10**6, 10**6, 1_000_000_000_000.0),
    ],
)
def test_means(total: int, count: int, scale: int, expected: float | None) -> None:
    assert mean(total, count, scale) == expected


def test_milliseconds_and_speed() -> None:
    assert mean_ms(1_250_500, 1) == 1250.5
    sums = Sums(requests=2, speed_requests=2, speed_sum=18_181_818 + 25_000_000)
    assert metrics(figures(group(sums=sums)), WALL)["avg_tokens_per_second"] == 21.59


counts = st.integers(0, 10**6)
sums = st.builds(
    lambda requests, us, tokens, timed: Sums(
        *(requests, us, min(tokens, requests), tokens, tokens, min(timed, requests), us // 3, us, timed, timed * 7)
    ),
    *(st.integers(1, 10**6), st.integers(0, 10**15), counts, counts),
)
groups = st.builds(
    Group,
    st.sampled_from(["completed", "client_gone", "timeout", "upstream_error", "stream_error", "rejected"]),
    st.booleans(),
    st.sampled_from([None, 200, 400, 429, 503]),
    st.sampled_from([None, "connect_error", "http_503", "client_gone"]),
    st.sampled_from([None, "", "stop", "length"]),
    sums,
)


@given(st.lists(groups, max_size=8))
def test_any_sums_make_a_document_that_agrees_with_itself(some: list[Group]) -> None:
    found = metrics(figures(*some), WALL)
    DOCUMENT.validate_python(found, strict=True)
    parts = found["requests"]
    assert found["total_requests"] == sum(each.sums.requests for each in some)
    for key in ("total", "successful", "failed"):
        assert parts["streamed"][key] + parts["non_streamed"][key] == parts["total"][key]
    assert parts["streamed"]["tokens"]["total"] + parts["non_streamed"]["tokens"]["total"] == found["total_tokens_used"]
    of_both = Counter(parts["streamed"]["error_types"]) + Counter(parts["non_streamed"]["error_types"])
    assert {each["type"]: each["count"] for each in found["error_types"]} == of_both
    assert sum(each["count"] for each in found["error_types"]) == found["failed_requests"]

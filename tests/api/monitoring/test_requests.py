"""Finished requests as the page shows them, and what can be asked of them."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.api.monitoring.documents import FinishedRequest, FinishedRequests
from exporter.api.monitoring.requests import (
    MOST_ROWS,
    OUTCOMES,
    OutcomeOrFailed,
    finished_request,
    read_filter,
    read_limit,
    write_requests,
)
from exporter.api.past import BadQueryError
from exporter.record import FAILURES, Complexity, Outcome
from exporter.store.figures import Filter, StoredCourse
from tests.api.monitoring.documents import read, read_bytes
from tests.api.monitoring.past import course
from tests.api.views import WALL


def test_one_of_them() -> None:
    assert read(FinishedRequest, finished_request(course())) == {
        "id": 9_999_999,
        "request_id": "0000000000000001",
        "finished_at": "2026-11-20T08:32:29.999Z",
        "duration_seconds": 2.504,
        "outcome": "completed",
        "status_code": 200,
        "error_type": None,
        "finish_reason": "stop",
        "operation": "chat",
        "streamed": True,
        "model": "tiny-q4",
        "requested_model": "auto",
        "tier": "Q4",
        "upstream": "gpu",
        "origin": "http://chat.lan",
        "input_tokens": 100,
        "cached_tokens": 60,
        "output_tokens": 50,
        "output_tokens_per_second": 21.3,
        "attempts": 2,
        "complexity": "SIMPLE",
        "wanted_tier": "Q2",
        "fallback": True,
        "trace_id": "0af7651916cd43dd8448eb211c80319c",
        "timeline": {
            "overhead_seconds": 0.000123,
            "queue_seconds": 0.01,
            "prefill_seconds": 0.14,
            "first_token_seconds": 0.15,
            "last_token_seconds": 2.5,
            "decode_seconds": 2.35,
        },
    }


def test_what_is_not_known_is_null() -> None:
    times = ("overhead_us", "ttft_us", "last_token_us", "queue_us", "prompt_us", "generation_us")
    unknown: dict[str, Any] = dict.fromkeys((*times, "complexity", "upstream", "output_tokens_per_second"))
    row = course(**unknown)
    found = read(FinishedRequest, finished_request(row))
    assert set(found["timeline"].values()) == {None}
    assert found["complexity"] is found["upstream"] is found["output_tokens_per_second"] is None


COUNTS = st.none() | st.integers(0, 2**53)
COURSES = st.builds(
    StoredCourse,
    id=st.integers(0, 2**53),
    request_id=st.text(),
    finished_us=st.integers(0, 2**52),
    duration_us=st.integers(0, 2**52),
    outcome=st.sampled_from(list(map(str, Outcome))),
    operation=st.text(),
    stream=st.booleans(),
    tier=st.text(),
    status_code=COUNTS,
    input_tokens=COUNTS,
    cached_tokens=COUNTS,
    output_tokens=COUNTS,
    output_tokens_per_second=st.none() | st.floats(),
    attempts=st.integers(0, 9),
    overhead_us=COUNTS,
    ttft_us=COUNTS,
    last_token_us=COUNTS,
    queue_us=COUNTS,
    prompt_us=COUNTS,
    generation_us=COUNTS,
    complexity=st.none() | st.sampled_from(list(map(str, Complexity))),
    fallback=st.none() | st.booleans(),
    **dict.fromkeys(
        (
            *("upstream", "model", "requested_model", "origin", "error_type"),
            *("finish_reason", "wanted_tier", "trace_id"),
        ),
        st.none() | st.text(),
    ),
)


@given(st.lists(COURSES, max_size=3))
def test_whatever_was_stored_can_be_read(rows: list[StoredCourse]) -> None:
    found = read_bytes(FinishedRequests, write_requests(WALL, rows))
    assert (found["timestamp"], found["searched"]) == ("2026-11-20T08:32:30.000Z", 50_000)
    assert [each["id"] for each in found["requests"]] == [row.id for row in rows]
    for each, row in zip(found["requests"], rows, strict=True):
        assert round(each["duration_seconds"] * 1_000_000) == row.duration_us


@pytest.mark.parametrize(
    ("query", "which"),
    [
        ({}, Filter()),
        ({"model": "", "tier": "", "outcome": "", "behind": "", "limit": ""}, Filter()),
        ({"model": "a b/c:Q4", "tier": "Q4"}, Filter(model="a b/c:Q4", tier="Q4")),
        ({"outcome": "timeout", "behind": "0012"}, Filter(outcomes=("timeout",), behind=12)),
        ({"behind": str(2**53 - 1)}, Filter(behind=2**53 - 1)),
        ({"instance": "another", "sort": "x"}, Filter()),
    ],
)
def test_what_is_asked_for(query: dict[str, str], which: Filter) -> None:
    assert read_filter(query) == which
    assert read_filter(query, "box") == which._replace(instance="box")


def test_failed_stands_for_all_that_count_as_failures() -> None:
    outcomes = read_filter({"outcome": "failed"}).outcomes
    assert set(outcomes) == FAILURES
    assert len(outcomes) == 4


def test_the_outcomes_are_those_that_are_described() -> None:
    assert set(get_args(OutcomeOrFailed)) == set(OUTCOMES) == {*map(str, Outcome), "failed"}


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"model": "a\0"}, "model: not a name"),
        ({"tier": "x" * 257}, "tier: not a name"),
        (
            {"outcome": "bad"},
            "outcome: not one of completed, upstream_error, stream_error, client_gone, timeout, rejected, failed",
        ),
        *(
            ({"behind": value}, "behind: not a whole number from 0 to 9007199254740991")
            for value in ("-1", "x", "1.5", "٣", str(2**53), "9" * 5000)
        ),
    ],
)
def test_what_makes_no_sense(query: dict[str, str], message: str) -> None:
    with pytest.raises(BadQueryError) as raised:
        read_filter(query)
    assert str(raised.value) == message


@pytest.mark.parametrize(("text", "limit"), [(None, 200), ("", 200), ("1", 1), ("200", 200), ("007", 7)])
def test_limits(text: str | None, limit: int) -> None:
    assert read_limit({} if text is None else {"limit": text}) == limit


@pytest.mark.parametrize("text", ["0", "201", "-1", "1e2", "x", " "])
def test_limits_that_make_no_sense(text: str) -> None:
    with pytest.raises(BadQueryError, match=f"^limit: not a whole number from 1 to {MOST_ROWS}$"):
        read_limit({"limit": text})


@given(st.dictionaries(st.sampled_from(["model", "tier", "outcome", "behind", "limit"]), st.text()))
def test_whatever_is_asked_is_read_or_refused(query: dict[str, Any]) -> None:
    try:
        which, limit = read_filter(query), read_limit(query)
    except BadQueryError as error:
        assert str(error).partition(":")[0] in query  # noqa: PT017 - it may as well be read
    else:
        assert which.behind >= 0
        assert 1 <= limit <= MOST_ROWS

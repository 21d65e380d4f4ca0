"""Requests as rows."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from exporter.api.completions.documents import CompletionRequest
from exporter.api.completions.examples import ROWS
from exporter.api.completions.rows import completion_request, write_rows
from exporter.store.figures import StoredRequest
from tests.api.completions.past import stored

DOCUMENT: TypeAdapter[CompletionRequest] = TypeAdapter(CompletionRequest)


def test_a_stream() -> None:
    assert completion_request(stored(finished_us=1_795_163_548_123_456)) == ROWS[0]
    assert list(ROWS[0]) == list(completion_request(stored()))


def times(**changes: Any) -> tuple[int | None, int | None, int]:
    row = completion_request(stored(**changes))
    assert row["timing"]["time_to_first_token_ms"] == row["time_to_first_token_ms"]
    assert row["timing"]["time_to_last_token_ms"] == row["time_to_last_token_ms"]
    return row["time_to_first_token_ms"], row["time_to_last_token_ms"], row["timing"]["response_time_ms"]


NO_TOKENS: dict[str, Any] = {"ttft_us": None, "last_token_us": None}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, (150, 2500, 2504)),
        ({"ttft_us": 1499, "last_token_us": 1501, "duration_us": 2000}, (1, 2, 2)),
        ({"ttft_us": 499}, (0, 2500, 2504)),
        # Not streamed: both tokens came with the answer, if it was one.
        ({"stream": False, **NO_TOKENS}, (2504, 2504, 2504)),
        ({"stream": False, "outcome": "upstream_error", **NO_TOKENS}, (None, None, 2504)),
        # A stream that broke off, and one without a token
        ({"outcome": "client_gone"}, (150, 2500, 2504)),
        (NO_TOKENS, (None, None, 2504)),
        ({"outcome": "timeout", "status_code": 504, **NO_TOKENS}, (None, None, 2504)),
    ],
)
def test_times(changes: dict[str, Any], expected: tuple[int | None, int | None, int]) -> None:
    assert times(**changes) == expected


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        ((100, 50), {"total": 150, "prompt": 100, "completion": 50}),
        ((100, None), {"total": 100, "prompt": 100, "completion": None}),
        ((None, 50), {"total": 50, "prompt": None, "completion": 50}),
        ((0, 0), {"total": 0, "prompt": 0, "completion": 0}),
        ((None, None), {"total": None, "prompt": None, "completion": None}),
    ],
)
def test_tokens(known: tuple[int | None, int | None], expected: dict[str, int | None]) -> None:
    row = completion_request(stored(input_tokens=known[0], output_tokens=known[1]))
    assert row["tokens"] == expected
    assert row["prompt_tokens"] == known[0]


def test_a_failure_has_the_contracts_word() -> None:
    row = completion_request(stored(outcome="upstream_error", status_code=429, error_type="http_429"))
    assert (row["success"], row["error_type"]) == (False, "rate_limit")


def test_empty_names_are_none() -> None:
    row = completion_request(stored(model="", origin="", finish_reason=""))
    assert (row["model"], row["origin"], row["finish_reason"]) == (None, None, None)


def test_rows_without_their_array() -> None:
    assert write_rows([]) == b""
    written = write_rows([stored(1), stored(2)])
    assert json.loads(b"[" + written + b"]") == [completion_request(stored(1)), completion_request(stored(2))]


sizes = st.integers(0, 2**53)
maybe = st.none() | sizes
names = st.none() | st.text()
requests = st.builds(
    StoredRequest,
    id=sizes,
    finished_us=st.integers(-(10**15), 10**16),
    duration_us=sizes,
    outcome=st.sampled_from(["completed", "client_gone", "timeout", "upstream_error", "stream_error", "rejected"]),
    stream=st.booleans(),
    status_code=st.none() | st.integers(100, 599),
    error_type=names,
    finish_reason=names,
    model=names,
    origin=names,
    message_count=maybe,
    input_tokens=maybe,
    output_tokens=maybe,
    ttft_us=maybe,
    last_token_us=maybe,
)


@given(st.lists(requests, min_size=1, max_size=3))
def test_any_request_is_a_row(some: list[StoredRequest]) -> None:
    written = json.loads(b"[" + write_rows(some) + b"]")
    assert len(written) == len(some)
    for row in written:
        DOCUMENT.validate_python(row, strict=True)

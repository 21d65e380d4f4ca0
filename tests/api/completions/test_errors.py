"""The contract's words for every way in which a request can go wrong here."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.api.completions.documents import ErrorType
from exporter.api.completions.errors import error_word
from exporter.record import AttemptResult, Outcome


@pytest.mark.parametrize(
    ("outcome", "status", "error", "stream", "word"),
    [
        ("completed", 200, None, True, None),
        ("completed", 200, None, False, None),
        # The server answered with an error, under its own name or none
        ("upstream_error", 400, "invalid_request_error", False, "invalid_request"),
        ("upstream_error", 400, "exceed_context_size_error", True, "invalid_request"),
        ("upstream_error", 429, "http_429", False, "rate_limit"),
        ("upstream_error", 429, "rate_limit_exceeded", True, "rate_limit"),
        ("upstream_error", 401, "authentication_error", False, "http_error"),
        ("upstream_error", 404, "not_found_error", False, "http_error"),
        ("upstream_error", 500, "server_error", True, "http_error"),
        ("upstream_error", 501, "not_supported_error", False, "http_error"),
        ("upstream_error", 503, "unavailable_error", True, "http_error"),
        # Nobody answered: the status is the sidecar's
        ("upstream_error", 502, "connect_error", False, "connection_error"),
        ("upstream_error", 502, "connect_error", True, "connection_error"),
        ("upstream_error", 504, "connect_timeout", True, "connection_error"),
        ("upstream_error", 502, "disconnected", False, "connection_error"),
        ("upstream_error", 503, "no_upstream_available", True, "connection_error"),
        ("upstream_error", None, "internal_error", False, "connection_error"),
        ("timeout", 504, "timeout", True, "connection_error"),
        ("timeout", 503, "shutdown", False, "connection_error"),
        # What came was no HTTP
        ("upstream_error", 502, "protocol_error", False, "response_parse_error"),
        ("upstream_error", 200, "protocol_error", True, "response_parse_error"),
        # It began, and did not end
        ("upstream_error", 200, "disconnected", True, "streaming_incomplete"),
        ("timeout", 200, "timeout", True, "streaming_incomplete"),
        ("timeout", 200, "shutdown", True, "streaming_incomplete"),
        ("upstream_error", 200, "internal_error", True, "streaming_incomplete"),
        ("client_gone", 200, "client_gone", True, "streaming_incomplete"),
        ("upstream_error", 200, "disconnected", False, "connection_error"),
        ("timeout", 200, "timeout", False, "connection_error"),
        ("client_gone", 200, "client_gone", False, "connection_error"),
        ("client_gone", None, "client_gone", True, "connection_error"),
        ("client_gone", None, "client_gone", False, "connection_error"),
        ("client_gone", 400, "client_gone", True, "connection_error"),
        # An error within a stream
        ("stream_error", 200, "server_error", True, "streaming_error"),
        ("stream_error", 200, "error", True, "streaming_error"),
        # The sidecar refused
        ("rejected", 401, "authentication_error", False, "http_error"),
        ("rejected", 503, "overloaded_error", True, "http_error"),
        ("rejected", 404, "model_not_found", False, "http_error"),
        ("rejected", 400, "invalid_request_error", False, "invalid_request"),
        # An application said so
        ("upstream_error", None, "recorded", False, "http_error"),
    ],
)
def test_words(outcome: str, status: int | None, error: str | None, stream: bool, word: str | None) -> None:
    assert error_word(outcome, status, error, stream=stream) == word


reasons = st.sampled_from([*AttemptResult, "shutdown", "recorded", "server_error", "http_503"]) | st.text()


@given(st.sampled_from(list(Outcome)), st.none() | st.integers(100, 999), st.none() | reasons, st.booleans())
def test_every_failure_has_a_word(outcome: Outcome, status: int | None, error: str | None, stream: bool) -> None:
    word = error_word(outcome.value, status, error, stream=stream)
    assert word is None if outcome is Outcome.COMPLETED else word in get_args(ErrorType)

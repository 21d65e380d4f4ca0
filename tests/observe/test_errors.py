"""Errors inside streams and in answers, in every dialect and from old builds."""

from __future__ import annotations

import pytest

from exporter.record import Outcome
from tests.observe.replays import ANSWERED, SSE, chat_chunk, event, open_request, read_json, read_stream

ERROR = {"code": 500, "message": "Compute error.", "type": "server_error"}
IN_STREAM = {
    "chat": ("/v1/chat/completions", event({"error": ERROR}), "server_error"),
    "text": ("/v1/completions", event({"error": ERROR}), "server_error"),
    "native": ("/completion", event({"error": ERROR}), "server_error"),
    "old build": (
        "/v1/chat/completions",
        b'error: {"code":500,"message":"x","type":"server_error"}\n\n',
        "server_error",
    ),
    "old native": ("/completion", b'error:{"type":"server_error"}\r\n\r\n', "server_error"),
    "messages of llama-server": ("/v1/messages", event(ERROR, "error"), "server_error"),
    "messages": (
        "/v1/messages",
        event({"type": "error", "error": {"type": "overloaded_error", "message": "x"}}, "error"),
        "overloaded_error",
    ),
    "responses of llama-server": ("/v1/responses", event({"error": ERROR}), "server_error"),
    "responses": (
        "/v1/responses",
        event({"type": "error", "code": "rate_limit", "message": "x"}, "error"),
        "rate_limit",
    ),
    "responses without a name": ("/v1/responses", event({"type": "error", "message": "x"}), "error"),
    "failed": (
        "/v1/responses",
        event({"type": "response.failed", "response": {"status": "failed", "error": {"code": "server_error"}}}),
        "server_error",
    ),
    "text only": ("/v1/chat/completions", event({"error": "out of memory"}), "error"),
    "no type": ("/v1/chat/completions", event({"error": {"message": "x"}}), "error"),
    "odd type": ("/v1/chat/completions", event({"error": {"type": "Bad Type!"}}), "error"),
    "capitals": ("/v1/chat/completions", event({"error": {"type": "BadRequestError"}}), "badrequesterror"),
    "long": ("/v1/chat/completions", event({"error": {"type": "x" * 65}}), "error"),
}


@pytest.mark.parametrize("name", IN_STREAM)
def test_an_error_in_a_stream(name: str) -> None:
    path, chunk, expected = IN_STREAM[name]
    record = read_stream(path, chunk)
    assert (record.outcome, record.error_type, record.status_code) == (Outcome.STREAM_ERROR, expected, 200)


def test_what_came_before_the_error_is_kept() -> None:
    record = read_stream("/v1/chat/completions", chat_chunk("a"), chat_chunk("b"), event({"error": ERROR}))
    assert record.outcome is Outcome.STREAM_ERROR
    assert (record.output_tokens, record.response_model) == (2, "tiny")


def test_no_errors() -> None:
    chunks = [chat_chunk("error", error=None), chat_chunk("error"), chat_chunk('"error":'), chat_chunk("error: {}")]
    record = read_stream("/v1/chat/completions", *chunks)
    assert (record.outcome, record.error_type, record.output_tokens) == (Outcome.COMPLETED, None, 4)


def test_a_given_outcome_wins() -> None:
    record = read_stream("/v1/chat/completions", event({"error": ERROR}), outcome=Outcome.CLIENT_GONE)
    assert (record.outcome, record.error_type) == (Outcome.CLIENT_GONE, "client_gone")


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"error": ERROR}, "server_error"),
        ({"type": "error", "error": {"type": "not_found_error"}}, "not_found_error"),
        ({"error": {"code": "model_not_found", "type": None}}, "model_not_found"),
        ({"error": {"message": "x"}}, "error"),
        ({"error": "x"}, "http_503"),
        ({"detail": "x"}, "http_503"),
        ([1], "http_503"),
        (b"", "http_503"),
        (b"not json", "http_503"),
        (b'{"error":{"type":"server_error","message":"' + b"x" * 300_000 + b'"}}', "http_503"),
    ],
)
def test_an_error_answer(answer: object, expected: str) -> None:
    record = read_json("/v1/chat/completions", answer, status=503)
    assert (record.outcome, record.error_type, record.output_tokens) == (Outcome.UPSTREAM_ERROR, expected, None)


@pytest.mark.parametrize("kind", [b"text/html", b"text/plain; charset=utf-8", b""])
def test_an_error_that_is_not_json(kind: bytes) -> None:
    observation = open_request("/v1/chat/completions")
    observation.answer(ANSWERED, 502, [(b"content-type", kind)])
    observation.feed(102.0, b"<html>bad gateway</html>")
    record = observation.finish(103.0)
    assert (record.outcome, record.error_type) == (Outcome.UPSTREAM_ERROR, "http_502")
    assert observation.parse_errors == 0


def test_an_error_stream_with_an_error_status() -> None:
    observation = open_request("/v1/chat/completions")
    observation.answer(ANSWERED, 500, SSE)
    observation.feed(102.0, event({"error": ERROR}))
    record = observation.finish(103.0)
    assert (record.outcome, record.error_type) == (Outcome.UPSTREAM_ERROR, "server_error")


def test_a_successful_answer_with_a_null_error_is_completed() -> None:
    record = read_json("/v1/responses", {"object": "response", "status": "completed", "error": None, "output": []})
    assert (record.outcome, record.finish_reasons) == (Outcome.COMPLETED, ("completed",))

"""Answers that llama-server's router ends because it has lost the server that gave them."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from exporter.record import Outcome
from tests.observe.replays import (
    ANSWERED,
    CUT,
    FINISHED,
    SSE,
    STREAMS,
    begin,
    chat_chunk,
    event,
    open_request,
    read_json,
    read_stream,
    replay,
)

LOST = b"proxy error: Failed to read connection"
EXPECTED: dict[str, dict[str, Any]] = {
    "chat-stream": {"operation": "chat", "output_tokens": 1, "response_model": "tiny"},
    "completion-native-stream": {"operation": "text_completion", "output_tokens": 7, "input_tokens": 11},
    "completion-oai-stream": {"operation": "text_completion", "output_tokens": 4, "response_model": "tiny"},
    "messages-stream": {"operation": "messages", "output_tokens": 3, "response_model": "tiny"},
    "responses-stream": {"operation": "responses", "output_tokens": 1, "response_model": None},
}
"""Tokens counted by hand: one per event with content."""
FAILED = {"outcome": Outcome.STREAM_ERROR, "error_type": "proxy_error", "status_code": 200, "finish_reasons": ()}


def test_every_capture_is_expected() -> None:
    assert set(CUT) == {*EXPECTED, "chat"}


@pytest.mark.parametrize("name", EXPECTED)
def test_a_stream_that_the_router_ends_is_an_error(name: str) -> None:
    record = dataclasses.asdict(replay(CUT[name]))
    expected = FAILED | EXPECTED[name]
    assert {key: record[key] for key in expected} == expected
    assert CUT[name].body.endswith(b"\n\n" + LOST)


@pytest.mark.parametrize("name", CUT)
def test_splits_change_nothing(name: str) -> None:
    exchange = CUT[name]
    body, whole = exchange.body, replay(exchange)
    assert replay(exchange, [bytes([byte]) for byte in body]) == whole
    for at in range(1, len(body)):
        assert replay(exchange, [body[:at], body[at:]]) == whole


@pytest.mark.parametrize("name", EXPECTED)
@pytest.mark.parametrize("line_end", [b"\r\n", b"\r"])
def test_line_ends_change_nothing(name: str, line_end: bytes) -> None:
    body = CUT[name].body.replace(b"\n", line_end)
    other = dataclasses.replace(CUT[name], body=body)
    assert replay(other) == dataclasses.replace(replay(CUT[name]), response_bytes=len(body))


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n", b"\n\n"])
def test_the_text_may_end_its_line(end: bytes) -> None:
    record = read_stream("/v1/chat/completions", chat_chunk("a"), LOST + end)
    assert (record.outcome, record.error_type, record.output_tokens) == (Outcome.STREAM_ERROR, "proxy_error", 1)


def test_an_answer_that_was_not_streamed_is_a_500_and_understood() -> None:
    observation = begin(CUT["chat"])
    observation.feed(102.0, CUT["chat"].body)
    record = observation.finish(FINISHED)
    assert (record.outcome, record.error_type, record.status_code) == (Outcome.UPSTREAM_ERROR, "proxy_error", 500)
    assert observation.parse_errors == 0


def test_another_500_that_is_no_json_is_not_understood() -> None:
    record = read_json("/v1/chat/completions", b"no proxy error: x", status=500)
    assert (record.outcome, record.error_type) == (Outcome.UPSTREAM_ERROR, "http_500")


@pytest.mark.parametrize("name", CUT)
def test_it_is_no_parse_error(name: str) -> None:
    observation = begin(CUT[name])
    observation.feed(102.0, CUT[name].body + b"\n\n")
    observation.finish(FINISHED)
    assert observation.parse_errors == 0


@pytest.mark.parametrize("name", STREAMS)
def test_a_server_that_is_lost_after_its_answer_has_failed_nobody(name: str) -> None:
    whole = STREAMS[name]
    record = replay(dataclasses.replace(whole, body=whole.body + LOST))
    assert record == dataclasses.replace(replay(whole), response_bytes=len(whole.body) + len(LOST))
    assert record.outcome is Outcome.COMPLETED


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/completion"])
def test_all_choices_must_have_ended(path: str) -> None:
    chunks = [chat_chunk("a", index=0), chat_chunk("a", index=1), chat_chunk(finish="stop", index=1)]
    cut = read_stream(path, *chunks, LOST, request=b'{"n":2}')
    assert (cut.outcome, cut.error_type, cut.finish_reasons) == (Outcome.STREAM_ERROR, "proxy_error", ("stop",))
    whole = read_stream(path, *chunks, chat_chunk(finish="length", index=0), LOST, request=b'{"n":2}')
    assert (whole.outcome, whole.finish_reasons) == (Outcome.COMPLETED, ("length", "stop"))


def test_what_the_server_said_itself_tells_more() -> None:
    error = event({"error": {"code": 500, "message": "Compute error.", "type": "server_error"}})
    record = read_stream("/v1/chat/completions", chat_chunk("a"), error, LOST)
    assert (record.outcome, record.error_type) == (Outcome.STREAM_ERROR, "server_error")


def test_a_client_that_left_before_has_left() -> None:
    record = read_stream("/v1/chat/completions", chat_chunk("a"), LOST, outcome=Outcome.CLIENT_GONE)
    assert (record.outcome, record.error_type) == (Outcome.CLIENT_GONE, "client_gone")


@pytest.mark.parametrize(
    "text", ["proxy error: Failed to read connection", "\nproxy error: x", "\n\nproxy error: x\n\n"]
)
def test_a_model_may_write_it(text: str) -> None:
    record = read_stream("/v1/chat/completions", chat_chunk("a"), chat_chunk(text), chat_chunk("b"))
    assert (record.outcome, record.output_tokens) == (Outcome.COMPLETED, 3)


@pytest.mark.parametrize("name", EXPECTED)
def test_a_stream_that_just_ends_is_no_error(name: str) -> None:
    """Some servers leave out what ends a stream, and finish reasons."""
    body = CUT[name].body.removesuffix(LOST) + b": proxy error: in a comment\n\n"
    record = replay(dataclasses.replace(CUT[name], body=body))
    assert (record.outcome, record.error_type, record.finish_reasons) == (Outcome.COMPLETED, None, ())


def test_the_text_alone_is_an_error() -> None:
    observation = open_request("/v1/chat/completions")
    observation.answer(ANSWERED, 200, SSE)
    observation.feed(102.0, LOST)
    record = observation.finish(FINISHED)
    assert (record.outcome, record.error_type, record.ttft_seconds) == (Outcome.STREAM_ERROR, "proxy_error", None)

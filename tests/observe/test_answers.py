"""Answers that are not streamed: every shape, encodings, and answers of many megabytes."""

from __future__ import annotations

import gzip
import json
import zlib
from typing import Any

import pytest

from exporter.observe.observation import Look, Observation
from exporter.record import Outcome, TokenSource
from tests.observe.replays import ANSWERED, FINISHED, JSON, SSE, chat_chunk, open_request, read_json

CHAT = "/v1/chat/completions"
USAGE = {"prompt_tokens": 9, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 4}}
ANSWER = {"choices": [{"finish_reason": "stop", "index": 0, "message": {}}], "model": "tiny", "usage": USAGE}


def native(index: int, tokens: int, **more: Any) -> dict[str, Any]:
    result = {"index": index, "content": "x", "stop": True, "model": "tiny", "tokens_predicted": tokens}
    return result | {"tokens_evaluated": 10 + index, "stop_type": "eos", "timings": {"cache_n": 2}} | more


@pytest.mark.parametrize(
    ("path", "answer", "expected"),
    [
        (CHAT, ANSWER, (9, 4, 3)),
        ("/completion", ANSWER, (9, 4, 3)),
        ("/completion", native(0, 7), (10, 2, 7)),
        ("/completion", [native(0, 7), native(1, 5)], (21, 4, 12)),
        ("/completion", [native(0, 7)], (10, 2, 7)),
        ("/v1/completions", native(0, 7), (10, 2, 7)),
        ("/v1/messages", {"type": "message", "usage": {"input_tokens": 1, "output_tokens": 2}}, (1, None, 2)),
        (
            "/v1/messages",
            {
                "type": "message",
                "usage": {
                    "input_tokens": 1,
                    "cache_read_input_tokens": 20,
                    "cache_creation_input_tokens": 300,
                    "output_tokens": 2,
                },
            },
            (321, 20, 2),
        ),
        ("/v1/messages", {"type": "message", "usage": {"cache_read_input_tokens": 20}}, (None, 20, None)),
        ("/v1/messages", {"type": "message"}, (None, None, None)),
        (
            "/v1/embeddings",
            {"object": "list", "usage": {"prompt_tokens": 6, "total_tokens": 6}, "data": []},
            (6, None, None),
        ),
        ("/embedding", [{"index": 0, "embedding": [[0.5]]}], (None, None, None)),
        ("/v1/rerank", {"usage": {"prompt_tokens": 65}, "results": []}, (65, None, None)),
        ("/v1/audio/transcriptions", {"text": "x", "usage": {"input_tokens": 5, "output_tokens": 6}}, (5, None, 6)),
        (CHAT, {"choices": [], "timings": {"prompt_n": 3, "cache_n": 4, "predicted_n": 5}}, (7, 4, 5)),
        (CHAT, {"choices": [], "timings": {"prompt_n": 3}}, (3, None, None)),
        (CHAT, {"choices": [], "usage": {"prompt_tokens": -1, "completion_tokens": True}}, (None, None, None)),
        (CHAT, {"choices": [], "usage": {"prompt_tokens": 2**60, "completion_tokens": 1.5}}, (None, None, None)),
        (CHAT, {"choices": {"a": 1}, "usage": [1], "timings": "x"}, (None, None, None)),
        (CHAT, {"choices": [None, 1, {"message": 3, "index": "x"}], "usage": None}, (None, None, None)),
        (CHAT, {"other": 1}, (None, None, None)),
        (CHAT, [], (None, None, None)),
        (CHAT, "text", (None, None, None)),
        (CHAT, b"", (None, None, None)),
    ],
)
def test_tokens(path: str, answer: object, expected: tuple[int | None, ...]) -> None:
    record = read_json(path, answer)
    assert (record.input_tokens, record.cached_tokens, record.output_tokens) == expected
    assert record.outcome is Outcome.COMPLETED
    known = record.input_tokens is not None or record.output_tokens is not None
    assert record.token_source is (TokenSource.SERVER if known else None)


def test_several_choices_with_the_sum_of_their_tokens() -> None:
    """As OpenAI and vLLM count; llama-server sends `timings` as well, and the first choice's figures alone."""
    choices = [{"finish_reason": reason, "index": index} for index, reason in enumerate(("stop", "length"))]
    record = read_json(CHAT, {"choices": choices, "usage": USAGE}, request=b'{"n":2}')
    assert (record.token_source, record.finish_reasons) == (TokenSource.SERVER, ("stop", "length"))
    record = read_json(CHAT, {"choices": choices, "usage": USAGE, "timings": {"prompt_n": 5}}, request=b'{"n":2}')
    assert record.token_source is TokenSource.COUNTED


def test_choices_of_several_prompts() -> None:
    """Two prompts, two choices each: llama-server evaluates each prompt once."""
    results = [native(index, 3, tokens_evaluated=10 * (1 + index // 2)) for index in range(4)]
    record = read_json("/completion", results, request=b'{"prompt":["a","b"],"n_cmpl":2}')
    assert (record.input_tokens, record.cached_tokens, record.output_tokens) == (30, 4, 12)


def test_tool_calls() -> None:
    calls = [{"type": "function"}, {"type": "function"}]
    chat = {
        "choices": [{"index": 0, "message": {"tool_calls": calls}}, {"index": 1, "message": {"tool_calls": calls[:1]}}]
    }
    assert read_json(CHAT, chat).tool_calls == 3
    blocks = [{"type": "text"}, {"type": "tool_use", "name": "f"}, {"type": "tool_use", "name": "g"}]
    assert read_json("/v1/messages", {"type": "message", "content": blocks}).tool_calls == 2
    output = [{"type": "message"}, {"type": "function_call", "name": "f"}, {"type": "reasoning"}, None]
    assert read_json("/v1/responses", {"object": "response", "output": output}).tool_calls == 1


def test_an_incomplete_response_says_why() -> None:
    answer = {"object": "response", "status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}
    assert read_json("/v1/responses", answer).finish_reasons == ("max_output_tokens",)


def test_names_are_cut() -> None:
    answer = ANSWER | {"model": "m" * 500, "choices": [{"finish_reason": "r" * 500}]}
    record = read_json(CHAT, answer)
    assert (record.response_model, record.finish_reasons) == ("m" * 256, ("r" * 64,))


def test_speculative_decoding() -> None:
    timings = {"predicted_n": 9, "predicted_ms": 10.0, "draft_n": 8, "draft_n_accepted": 6}
    record = read_json(CHAT, {"choices": [], "timings": timings})
    assert (record.draft_tokens, record.draft_accepted_tokens) == (8, 6)
    assert record.output_tokens_per_second == pytest.approx(800.0)


def test_one_token_has_no_speed() -> None:
    timings = {"predicted_n": 1, "predicted_ms": 0.001, "predicted_per_second": 0.0, "prompt_n": 5, "prompt_ms": 10.0}
    record = read_json(CHAT, {"choices": [], "timings": timings})
    assert record.output_tokens_per_second is None
    assert record.prompt_tokens_per_second == pytest.approx(500.0)


@pytest.mark.parametrize("body", [b'{"choices":', b"<html>", b'{"usage":{"prompt_tokens":9}} trailing', b"[" * 100_000])
def test_an_answer_that_is_no_json_is_counted(body: bytes) -> None:
    observation = open_request(CHAT)
    observation.answer(ANSWERED, 200, JSON)
    observation.feed(102.0, body)
    assert observation.finish(FINISHED).outcome is Outcome.COMPLETED
    assert (observation.parse_errors, observation.dialect) == (1, "openai")


def test_an_answer_that_broke_off_is_no_error_and_keeps_its_facts() -> None:
    observation = open_request("/v1/embeddings")
    observation.answer(ANSWERED, 200, JSON)
    observation.feed(102.0, b'{"model":"m","object":"list","usage":{"prompt_tokens":6},"data":[{"embed')
    record = observation.finish(FINISHED, Outcome.CLIENT_GONE)
    assert (observation.parse_errors, record.response_model, record.input_tokens) == (0, "m", 6)


def feed_all(observation: Observation, body: bytes, size: int) -> None:
    for at in range(0, len(body), size):
        observation.feed(102.0, body[at : at + size])
        assert observation.retained_bytes <= 3 * (256 << 10) // 2 + size


def test_an_answer_of_many_megabytes() -> None:
    head = json.dumps({"model": "m", "object": "list", "usage": {"prompt_tokens": 6}}, separators=(",", ":"))
    body = head[:-1].encode() + b',"data":[' + b"0.123456," * 5_600_000 + b"0]}"
    assert len(body) > 50_000_000
    observation = open_request("/v1/embeddings")
    observation.answer(ANSWERED, 200, JSON)
    feed_all(observation, body, 1 << 20)
    record = observation.finish(FINISHED)
    assert (record.input_tokens, record.response_model, record.response_bytes) == (6, "m", len(body))
    assert observation.parse_errors == 0


@pytest.mark.parametrize("size", [1000, 65_536, 1 << 22])
def test_figures_at_the_end_of_a_long_answer(size: int) -> None:
    choices = [{"finish_reason": "tool_calls", "index": 0, "message": {"content": 'say "usage": ' * 50_000}}]
    body = json.dumps({"choices": choices, "model": "tiny", "usage": USAGE}, separators=(",", ":")).encode()
    observation = open_request(CHAT)
    observation.answer(ANSWERED, 200, JSON)
    feed_all(observation, body, size)
    record = observation.finish(FINISHED)
    assert (record.input_tokens, record.cached_tokens, record.output_tokens) == (9, 4, 3)
    assert (record.finish_reasons, record.response_model) == (("tool_calls",), "tiny")


def test_a_long_native_answer() -> None:
    long = native(0, 7, tokens_evaluated=100_000, prompt="x" * 400_000) | {
        "timings": {"prompt_n": 100_000, "prompt_ms": 5e3}
    }
    long["timings"] = long.pop("timings")
    record = read_json("/completion", json.dumps(long, separators=(",", ":")).encode())
    assert (record.input_tokens, record.output_tokens, record.finish_reasons) == (100_000, 7, ("eos",))
    assert record.prompt_tokens_per_second == pytest.approx(20_000)


def test_of_a_long_array_only_the_first_result_is_known() -> None:
    results = [native(index, 7, prompt="x" * 200_000) for index in range(3)]
    record = read_json("/completion", json.dumps(results, separators=(",", ":")).encode())
    assert (record.input_tokens, record.output_tokens, record.token_source) == (10, 7, TokenSource.COUNTED)


BODY = json.dumps(ANSWER).encode()


@pytest.mark.parametrize("size", [1, 7, 10_000])
@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        (b"gzip", gzip.compress(BODY)),
        (b"deflate", zlib.compress(BODY)),
        (b"deflate", zlib.compress(BODY, wbits=-15)),
        (b"identity", BODY),
        (b"", BODY),
    ],
)
def test_encoded_answers(encoding: bytes, body: bytes, size: int) -> None:
    observation = open_request(CHAT)
    observation.answer(ANSWERED, 200, [*JSON, (b"content-encoding", encoding)])
    for at in range(0, len(body), size):
        observation.feed(102.0, body[at : at + size])
    assert observation.retained_bytes == len(BODY)
    record = observation.finish(FINISHED)
    assert (record.input_tokens, record.output_tokens) == (9, 3)
    assert (record.response_bytes, observation.parse_errors) == (len(body), 0)


def test_an_encoded_stream() -> None:
    deflate = zlib.compressobj(wbits=31)
    observation = open_request(CHAT)
    observation.answer(ANSWERED, 200, [*SSE, (b"content-encoding", b"gzip")])
    for number, text in enumerate("abc"):
        data = deflate.compress(chat_chunk(text)) + deflate.flush(zlib.Z_SYNC_FLUSH)
        observation.feed(102.0 + number, data)
    record = observation.finish(FINISHED + 2)
    assert (record.output_tokens, record.ttft_seconds, record.last_token_seconds) == (3, 2.0, 4.0)
    assert observation.dialect == "openai"


def test_an_unknown_encoding_is_only_counted() -> None:
    observation = open_request(CHAT)
    observation.answer(ANSWERED, 200, [*SSE, (b"content-encoding", b"br")])
    observation.feed(102.0, b"\x1b\x03\x00")
    record = observation.finish(FINISHED)
    assert (record.outcome, record.stream, record.response_bytes) == (Outcome.COMPLETED, True, 3)
    assert observation.parse_errors == 0


@pytest.mark.parametrize("body", [BODY, gzip.compress(b" " * (32 << 20))])
def test_a_body_that_is_not_what_it_says_is_given_up(body: bytes) -> None:
    observation = open_request(CHAT, look=Look(answer_bytes=1000))
    observation.answer(ANSWERED, 200, [*JSON, (b"content-encoding", b"gzip")])
    for _ in range(3):
        observation.feed(102.0, body)
    record = observation.finish(FINISHED)
    assert (record.response_bytes, record.input_tokens) == (3 * len(body), None)
    assert observation.parse_errors == 1

"""Every captured answer, whole and split anywhere, gives the facts that are in it."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from exporter.record import Outcome, TokenSource
from tests.observe.replays import ENGINE, EXCHANGES, SERVER, STREAMS, Exchange, replay

SERVED = {"token_source": TokenSource.SERVER}
REFUSED: dict[str, Any] = {"outcome": Outcome.UPSTREAM_ERROR, "input_tokens": None, "output_tokens": None}
INVALID = REFUSED | {"error_type": "invalid_request_error"}
PLAIN: dict[str, Any] = {"outcome": Outcome.COMPLETED, "inference": False, "input_tokens": None, "finish_reasons": ()}


def generated(prompt: int, cached: int, output: int, finish: str = "length", **more: Any) -> dict[str, Any]:
    """What is expected of a completed answer."""
    return {
        "outcome": Outcome.COMPLETED,
        "inference": True,
        "input_tokens": prompt,
        "cached_tokens": cached,
        "output_tokens": output,
        "finish_reasons": (finish,),
        "response_model": "tiny",
        "error_type": None,
    } | more


EXPECTED: dict[str, dict[str, Any]] = {
    "apply-template": PLAIN | {"operation": "apply_template", "message_count": 1},
    "chat": generated(27, 0, 6, operation="chat", requested_model="tiny", message_count=1, stream=False),
    "chat-n2": generated(21, 10, 3, finish_reasons=("length", "length"), token_source=TokenSource.COUNTED),
    "chat-stream": generated(27, 26, 6, stream=True, output_tokens_per_second=9157.509157509157),
    "chat-stream-timings-progress": generated(39, 16, 3, draft_tokens=None),
    "chat-stream-usage": generated(27, 26, 4),
    "completion-native": generated(10, 9, 5, "limit", operation="text_completion", message_count=1),
    "completion-native-stream": generated(10, 9, 4, "limit", operation="text_completion", stream=True),
    "completion-oai": generated(10, 2, 5, operation="text_completion"),
    "completion-oai-stream": generated(10, 9, 4, stream=True),
    "detokenize": PLAIN | {"operation": "detokenize"},
    "embeddings": REFUSED | {"operation": "embeddings", "status_code": 501, "error_type": "not_supported_error"},
    "error-bad-json": INVALID | {"operation": "chat", "requested_model": None, "message_count": None},
    "error-context-exceeded": REFUSED | {"error_type": "exceed_context_size_error", "stream": False},
    "error-context-exceeded-stream": REFUSED | {"error_type": "exceed_context_size_error", "stream": True},
    "error-missing-field": INVALID | {"status_code": 400},
    "health": PLAIN | {"operation": "health", "method": "GET"},
    "infill": REFUSED | {"operation": "infill", "inference": True, "error_type": "not_supported_error"},
    "messages": generated(21, 20, 4, "max_tokens", operation="messages", stream=False),
    "messages-count-tokens": PLAIN | {"operation": "count_tokens", "requested_model": "tiny"},
    "messages-stream": generated(21, 20, 4, "max_tokens", operation="messages", stream=True),
    "metrics": PLAIN | {"operation": "metrics"},
    "models": PLAIN | {"operation": "models"},
    "not-found": {"outcome": Outcome.UPSTREAM_ERROR, "operation": "other", "error_type": "not_found_error"},
    "props": PLAIN | {"operation": "props"},
    "responses": generated(27, 16, 4, "completed", operation="responses", stream=False),
    "responses-stream": generated(27, 26, 4, "completed", operation="responses", stream=True, prompt_seconds=0.000241),
    "router-chat": generated(27, 0, 4, response_model="tiny-Q4_K_M", requested_model="tiny-Q4_K_M"),
    "router-chat-unknown": INVALID | {"requested_model": "nope"},
    "router-health": PLAIN | {"operation": "health"},
    "router-load": PLAIN | {"operation": "models_load", "requested_model": "tiny-Q4_K_M"},
    "router-load-again": INVALID | {"operation": "models_load"},
    "router-load-unknown": REFUSED | {"error_type": "not_found_error", "status_code": 404},
    "router-metrics": PLAIN | {"operation": "metrics"},
    "router-metrics-no-model": REFUSED | {"operation": "metrics", "requested_model": None},
    "router-metrics-unloaded-noautoload": REFUSED | {"operation": "metrics"},
    "router-models": PLAIN | {"operation": "models"},
    "router-models-loaded": PLAIN | {"operation": "models"},
    "router-models-loading": PLAIN | {"operation": "models"},
    "router-models-unloaded": PLAIN | {"operation": "models"},
    "router-props": PLAIN | {"operation": "props"},
    "router-props-model": PLAIN | {"operation": "props", "requested_model": "tiny-Q4_K_M"},
    "router-slots": PLAIN | {"operation": "slots", "requested_model": "tiny-Q4_K_M"},
    "router-sse": PLAIN | {"operation": "models_events", "stream": True, "ttft_seconds": None},
    "router-unload": PLAIN | {"operation": "models_unload"},
    "router-unload-again": INVALID | {"operation": "models_unload"},
    "slots-after": PLAIN | {"operation": "slots"},
    "slots-idle": PLAIN | {"operation": "slots"},
    "tokenize": PLAIN | {"operation": "tokenize", "message_count": 1},
}

CONTENT_CHUNKS = {
    "llama-server/chat-stream": 6,
    "llama-server/chat-stream-timings-progress": 1,
    "llama-server/chat-stream-usage": 2,
    "llama-server/completion-native-stream": 4,
    "llama-server/completion-oai-stream": 4,
    "llama-server/messages-stream": 3,
    "llama-server/responses-stream": 3,
    "llama-server/router-sse": 0,
    "engine/chat-tools-stream": 10,
    "engine/messages-tools-stream": 11,
    "engine/responses-tools-stream": 11,
    "engine/messages-stream-no-start": 0,
}
"""Chunks with content, counted by hand: no role-only chunk, no progress, no empty delta, no signature. A tool's name
comes in a chunk of its own in the messages and responses dialects."""

FIRST_CHOICE_ONLY = {"chat-n2", "completion-oai-prompts"}
"""llama-server gives the figures of the first choice alone in these answers."""
NO_FIGURES = {"completion-native-fields", "embeddings-native"}


def test_every_capture_is_expected() -> None:
    assert set(EXPECTED) == set(SERVER)


@pytest.mark.parametrize("name", sorted(SERVER))
def test_facts(name: str) -> None:
    record = dataclasses.asdict(replay(SERVER[name]))
    assert {key: record[key] for key in EXPECTED[name]} == EXPECTED[name]
    assert record["response_bytes"] == len(SERVER[name].body)
    assert record["request_bytes"] == len(SERVER[name].request)
    assert record["status_code"] == SERVER[name].status


@pytest.mark.parametrize("name", sorted(ENGINE))
def test_tokens_are_those_of_the_servers_counters(name: str) -> None:
    record = replay(ENGINE[name])
    counted = (record.input_tokens, record.cached_tokens, record.output_tokens)
    counters = ENGINE[name].counters
    assert counters
    if name in NO_FIGURES:
        assert counted == (None, None, None)
    elif name == "messages-stream-no-start":
        assert counted == (None, None, counters["output"])
    elif name in FIRST_CHOICE_ONLY:
        assert record.token_source is TokenSource.COUNTED
        assert 0 < (record.output_tokens or 0) < counters["output"]
        assert 0 < (record.input_tokens or 0) <= counters["input"]
    else:
        assert record.token_source is TokenSource.SERVER
        assert (record.input_tokens, record.output_tokens or 0) == (counters["input"], counters["output"])
        assert (record.cached_tokens or 0) == counters["cached"]


@pytest.mark.parametrize("dialect", ["chat", "messages", "responses"])
@pytest.mark.parametrize("suffix", ["", "-stream"])
def test_tool_calls(dialect: str, suffix: str) -> None:
    record = replay(ENGINE[f"{dialect}-tools{suffix}"])
    assert record.tool_calls == 1
    assert record.finish_reasons == ({"chat": "tool_calls", "messages": "tool_use", "responses": "completed"}[dialect],)
    assert record.response_model == "chain.gguf"


@pytest.mark.parametrize("name", sorted(CONTENT_CHUNKS))
def test_content_chunks(name: str) -> None:
    record = replay(EXCHANGES[name])
    chunks = CONTENT_CHUNKS[name]
    assert (record.ttft_seconds is not None) == (chunks > 0)
    assert (record.gaps.count if record.gaps else 0) == max(chunks - 1, 0)


def splits(exchange: Exchange) -> list[tuple[bytes, bytes]]:
    return [(exchange.body[:at], exchange.body[at:]) for at in range(1, len(exchange.body))]


@pytest.mark.parametrize("name", sorted(EXCHANGES))
def test_splits_change_nothing(name: str) -> None:
    exchange = EXCHANGES[name]
    whole = replay(exchange)
    assert replay(exchange, [bytes([byte]) for byte in exchange.body]) == whole
    for pieces in splits(exchange):
        assert replay(exchange, pieces) == whole


@pytest.mark.parametrize("name", sorted(STREAMS))
@pytest.mark.parametrize("line_end", [b"\r\n", b"\r"])
def test_line_ends_change_nothing(name: str, line_end: bytes) -> None:
    exchange = STREAMS[name]
    body = exchange.body.replace(b"\n", line_end)
    other = dataclasses.replace(exchange, body=body)
    expected = dataclasses.replace(replay(exchange), response_bytes=len(body))
    assert replay(other) == expected
    assert replay(other, [bytes([byte]) for byte in body]) == expected

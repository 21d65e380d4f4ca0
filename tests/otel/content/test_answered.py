"""Answers in every dialect, streamed and whole, complete and broken off, as the attribute of a span."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.otel.content.answered import ANSWER_BYTES, Answer
from exporter.otel.content.messages import ATTRIBUTE_BYTES, TEXT_CHARACTERS
from tests.observe.replays import ENGINE, EXCHANGES, JSON, SERVER, SSE, STREAMS, Exchange, chat_chunk, event
from tests.otel.content.anything import values
from tests.otel.content.schemas import check_parts, read

OUTPUT = "gen_ai.output.messages"
Headers = tuple[tuple[bytes, bytes], ...]


def collect(headers: Headers, *pieces: bytes, reasons: Iterable[str] = ()) -> list[dict[str, Any]] | None:
    """The messages of an answer that arrives in these pieces; valid, every part what its type says."""
    answer = Answer()
    for piece in pieces:
        answer.feed(piece)
    written = answer.messages(headers, tuple(reasons))
    if written is None:
        return None
    assert len(written.encode()) <= ATTRIBUTE_BYTES
    messages: list[dict[str, Any]] = read(OUTPUT, written)
    for message in messages:
        check_parts(message["parts"])
    return messages


def collect_one(headers: Headers, *pieces: bytes, reasons: Iterable[str] = ()) -> dict[str, Any]:
    messages = collect(headers, *pieces, reasons=reasons)
    assert messages is not None
    (message,) = messages
    return message


def as_json(document: object) -> bytes:
    return json.dumps(document).encode()


def text(content: str) -> dict[str, str]:
    return {"type": "text", "content": content}


def said(content: str, finish_reason: str = "length") -> dict[str, Any]:
    return {"role": "assistant", "parts": [text(content)], "finish_reason": finish_reason}


# Captured answers

SAID: dict[str, list[dict[str, Any]]] = {
    "llama-server/chat": [said("\ufffd\n>3E\ufffd")],
    "llama-server/chat-n2": [said("\ufffd\x14\x14"), said("\ufffd\ufffd1")],
    "llama-server/chat-stream": [said("F\x1cN serverTE")],
    "llama-server/chat-stream-timings-progress": [said("v")],
    "llama-server/chat-stream-usage": [said("\ufffd\ufffdxy")],
    "llama-server/completion-native": [said("\b\ufffd\ufffd\ufffd")],
    "llama-server/completion-native-stream": [said("W4#\x1c")],
    "llama-server/completion-oai": [said("M\x1c\x05\u0728")],
    "llama-server/completion-oai-stream": [said("c\ufffd[E")],
    "llama-server/messages": [said("\ufffdf\x1c\ufffd")],
    "llama-server/messages-stream": [said("\ufffdNV")],
    "llama-server/responses": [said("\ufffdf\ufffdN", "stop")],
    "llama-server/responses-stream": [said("\ufffd\ufffdT and", "stop")],
    "llama-server/router-chat": [said("M\ufffd\x1f\x07")],
    "engine/chat-logprobs-stream": [said("ˤh")],
    "engine/chat-n2": [said("\x0b\ufffd"), said("\x0b\ufffd")],
    "engine/chat-n2-stream": [said(" hiѿ"), said(" hi")],
    "engine/chat-n2-stream-usage-timings": [said("\ufffdʴg"), said("\x15\ufffd\ufffd")],
    "engine/completion-native-fields": [said("\ufffdau", "unknown")],
    "engine/completion-native-progress-stream": [said("-u\x16b")],
    "engine/completion-native-prompts": [
        said("\ufffd\ufffd\ufffd"), said("o is\ufffd"), said("\ufffdgC"), said("\ufffdgC"),
    ],
    "engine/completion-native-prompts-stream": [said("m\x1d5"), said("I\x1d\ufffd")],
    "engine/completion-oai-prompts": [said("\ufffd2|"), said("Nc\x0b")],
    "engine/completion-oai-prompts-stream": [said("-|\x06"), said("\x16\ufffd^"), said("\ufffd<q"), said("\ufffd<q")],
    "engine/messages-stream-no-start": [{"role": "assistant", "parts": [], "finish_reason": "length"}],
}  # fmt: skip
CALLING = {name for name in EXCHANGES if name.startswith("engine/") and "-tools" in name}
SILENT = {name for name in EXCHANGES if name not in SAID and name not in CALLING and "detokenize" not in name}


@pytest.mark.parametrize("name", sorted(SAID))
def test_captured_answers(name: str) -> None:
    assert collect(EXCHANGES[name].headers, EXCHANGES[name].body) == SAID[name]


@pytest.mark.parametrize("name", sorted(CALLING))
def test_captured_calls(name: str) -> None:
    message = collect_one(EXCHANGES[name].headers, EXCHANGES[name].body)
    number = message["parts"][2].pop("id")
    assert len(number) >= 32
    assert message == {
        "role": "assistant",
        "parts": [
            {"type": "reasoning", "content": "let me think\n"},
            text("OK then\n"),
            {"type": "tool_call", "name": "get_weather", "arguments": {"n": True}},
        ],
        "finish_reason": "tool_call",
    }


def test_all_dialects_are_there() -> None:
    assert len(CALLING) == 6
    assert len(SILENT) > 20


@pytest.mark.parametrize("name", sorted(SILENT))
def test_answers_without_anything_generated(name: str) -> None:
    assert collect(EXCHANGES[name].headers, EXCHANGES[name].body) is None


@pytest.mark.parametrize("name", [*sorted(SAID), *sorted(CALLING)])
@pytest.mark.parametrize("size", [1, 7, 64, 1000])
def test_pieces_of_any_size(name: str, size: int) -> None:
    exchange = EXCHANGES[name]
    pieces = [exchange.body[at : at + size] for at in range(0, len(exchange.body), size)]
    assert collect(exchange.headers, *pieces) == collect(exchange.headers, exchange.body)


@pytest.mark.parametrize("name", sorted(STREAMS.keys() & (SAID.keys() | CALLING)))
def test_broken_off_anywhere(name: str) -> None:
    """What was there comes, and grows."""
    exchange = EXCHANGES[name]
    last: list[str] = []
    for end in range(0, len(exchange.body), 61):
        found = texts_of(collect(exchange.headers, exchange.body[:end]) or [])
        assert all(any(is_longer(new, old) for new in found) for old in last), (last, found)
        last = found
    whole = texts_of(collect(exchange.headers, exchange.body) or [])
    assert all(any(is_longer(new, old) for new in whole) for old in last)


def texts_of(messages: list[dict[str, Any]]) -> list[str]:
    return [part["content"] for message in messages for part in message["parts"] if "content" in part]


def is_longer(new: str, old: str) -> bool:
    return new.startswith(old)


# Broken-off, long and encoded ones


def test_stream_that_broke_off() -> None:
    found = collect_one(SSE, chat_chunk("one "), chat_chunk("two"), b'data: {"choices":[{"delta":{"con')
    assert found == said("one two", "unknown")


@pytest.mark.parametrize("end", [1, 40, -1])
def test_document_that_broke_off_is_none(end: int) -> None:
    body = as_json({"choices": [{"index": 0, "message": {"role": "assistant", "content": "one"}}]})
    assert collect(JSON, body[:end]) is None
    assert collect(JSON, body) is not None


def test_what_the_record_knows_completes_it() -> None:
    assert collect_one(SSE, chat_chunk("one"), reasons=["tool_calls"])["finish_reason"] == "tool_call"
    assert collect_one(SSE, chat_chunk("one", finish="stop"), reasons=["length"])["finish_reason"] == "stop"
    later = chat_chunk()
    assert collect_one(SSE, chat_chunk("one", finish="stop"), later)["finish_reason"] == "stop"
    two = collect(SSE, chat_chunk("one"), chat_chunk("two", index=1), reasons=["length"])
    assert [each["finish_reason"] for each in two or ()] == ["unknown", "unknown"], "it is not known whose it is"


def test_of_a_long_stream_there_is_the_beginning() -> None:
    chunks = [chat_chunk(f"{number} ", index=number % 2, more="x" * 200) for number in range(1500)]
    messages = collect(SSE, *chunks, reasons=["stop", "length"])
    assert messages is not None
    assert texts_of(messages)[0].startswith("0 2 4 ")
    assert 300 < len(texts_of(messages)[0].split()) < 600
    assert [each["finish_reason"] for each in messages] == ["stop", "length"]
    assert collect(SSE, b"".join(chunks)[:ANSWER_BYTES], reasons=["stop", "length"]) == messages


def test_long_document_is_none() -> None:
    longest = as_json([{"content": "", "stop": True}])
    longest += b" " * (ANSWER_BYTES - len(longest))
    assert collect(JSON, longest) is not None
    assert collect(JSON, longest[:-1], b" ", b" ") is None
    assert collect(JSON, longest + b" ") is None


def test_long_text_is_cut() -> None:
    found = collect_one(JSON, as_json({"choices": [{"message": {"content": "a " * 99_999}, "finish_reason": "stop"}]}))
    assert len(found["parts"][0]["content"]) == TEXT_CHARACTERS
    assert found["finish_reason"] == "stop"


@pytest.mark.parametrize("encoding", [b"gzip", b"br", b"\xff"])
def test_encoded_answers_are_not_read(encoding: bytes) -> None:
    body = as_json({"choices": [{"text": "hi"}]})
    for sent in (body, gzip.compress(body)):
        assert collect((*JSON, (b"content-encoding", encoding)), sent) is None
    assert collect((*JSON, (b"content-encoding", b"identity")), body) == [said("hi", "unknown")]


@pytest.mark.parametrize("kind", [b"text/html", b"", b"audio/wav"])
def test_other_kinds_are_not_read(kind: bytes) -> None:
    assert collect(((b"content-type", kind),), as_json({"choices": [{"text": "hi"}]})) is None
    assert collect((), as_json({"choices": [{"text": "hi"}]})) is None


# What no capture shows


def test_calls_by_turns() -> None:
    """Two calls whose pieces come by turns; the name is repeated, as some servers do."""

    def delta(index: int, **function: str) -> bytes:
        call = {"index": index, "id": f"c{index}", "function": {"name": f"f{index}", **function}}
        return event({"choices": [{"index": 0, "delta": {"tool_calls": [call]}, "finish_reason": None}]})

    pieces = [delta(0, arguments='{"a":'), delta(1, arguments="[1"), delta(0, arguments="1}"), delta(1, arguments="]")]
    found = collect_one(SSE, *pieces, chat_chunk(finish="tool_calls"))
    assert found["parts"] == [
        {"type": "tool_call", "id": "c0", "name": "f0", "arguments": {"a": 1}},
        {"type": "tool_call", "id": "c1", "name": "f1", "arguments": [1]},
    ]
    assert collect_one(SSE, *pieces[:1])["parts"][0]["arguments"] == '{"a":'


def test_reasoning_and_refusal() -> None:
    deltas = [{"reasoning": "hm"}, {"refusal": "no"}, {"role": "assistant", "content": None}, {"refusal": " way"}]
    found = collect_one(SSE, *[event({"choices": [{"index": 0, "delta": delta}]}) for delta in deltas])
    assert found["parts"] == [{"type": "reasoning", "content": "hm"}, text("no way")]


def test_anthropic_stream_without_its_start() -> None:
    deltas: list[tuple[int, dict[str, str]]] = [
        (1, {"type": "text_delta", "text": "one "}),
        (1, {"type": "text_delta", "text": "two"}),
        (2, {"type": "input_json_delta", "partial_json": "{}"}),
        (0, {"type": "signature_delta", "signature": "s"}),
    ]
    pieces = [event({"type": "content_block_delta", "index": index, "delta": delta}) for index, delta in deltas]
    found = collect_one(SSE, *pieces, event({"type": "error", "error": {"type": "overloaded_error"}}))
    assert found["parts"] == [text("one two"), {"type": "tool_call", "id": None, "name": "", "arguments": {}}]
    assert found["finish_reason"] == "unknown"


def test_responses_stream_that_broke_off() -> None:
    body = ENGINE["responses-tools-stream"].body
    found = collect_one(SSE, body[: body.index(b"event: response.output_item.done")])
    assert found["parts"][:2] == [{"type": "reasoning", "content": "let me think\n"}, text("OK then\n")]
    assert found["parts"][2]["arguments"] == {"n": True}
    assert found["finish_reason"] == "unknown"
    begun = body[: body.index(b"event: response.output_text.delta")]
    assert collect_one(SSE, begun)["parts"] == [{"type": "reasoning", "content": "let me think\n"}]


def test_what_a_response_says_at_its_end_counts_more_than_its_pieces() -> None:
    pieces = [
        event({"type": "response.created", "response": {"status": "in_progress", "output": []}}),
        event({"type": "response.output_text.delta", "item_id": "m1", "delta": "on"}),
        event({"type": "response.output_text.delta", "item_id": "m2", "delta": "tw"}),
    ]
    sound = event({"type": "response.audio.delta", "item_id": "m1", "delta": "QUJD"})
    assert collect_one(SSE, *pieces, sound)["parts"] == [text("on"), text("tw")]
    output = [{"type": "message", "content": [{"type": "output_text", "text": "one"}]}]
    last = event({"type": "response.completed", "response": {"status": "completed", "output": output}})
    assert collect_one(SSE, *pieces, last) == said("one", "stop")
    last = event({"type": "response.completed", "response": {"status": "completed", "output": []}})
    found = collect_one(SSE, *pieces, last, reasons=["completed"])
    assert found == {"role": "assistant", "parts": [text("on"), text("tw")], "finish_reason": "stop"}


@pytest.mark.parametrize(
    ("about", "reason"),
    [
        ({"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}, "length"),
        ({"status": "failed"}, "error"),
        ({"status": "in_progress"}, "unknown"),
        ({}, "unknown"),
    ],
)
def test_ends_of_responses(about: dict[str, Any], reason: str) -> None:
    items = [{"type": "message", "content": [{"type": "output_text", "text": "hi"}]}]
    assert collect_one(JSON, as_json({"object": "response", "output": items, **about})) == said("hi", reason)


def test_transcriptions() -> None:
    assert collect_one(JSON, as_json({"text": "hi", "usage": {}})) == said("hi", "unknown")
    pieces = [event({"type": "transcript.text.delta", "delta": each}) for each in ("h", "i")]
    assert collect_one(SSE, *pieces, event({"type": "transcript.text.done", "text": "hi"})) == said("hi", "unknown")


def test_picture_that_was_made_stays_away() -> None:
    item = {"type": "image_generation_call", "id": "i1", "result": "iVBOR" * 99}
    found = collect_one(JSON, as_json({"object": "response", "output": [item], "status": "completed"}))
    assert found["parts"] == [{"type": "image_generation_call"}]


def test_events_as_other_servers_write_them() -> None:
    lines = [
        b": ping",
        b"",
        b'data:{"choices":[{"index":0,"delta":{"content":"h\xe2\x80\xa8i"}}]}',
        b"",
        b"data:",
        b"id: 1",
    ]
    for end in (b"\r\n", b"\r", b"\n"):
        body = end.join([*lines, b"data: [DONE]", b"", b""])
        assert collect_one(SSE, body) == said("h\u2028i", "unknown")


def test_events_that_are_no_json() -> None:
    found = collect_one(SSE, chat_chunk("one "), b"data: nonsense\n\n", b"data: 1],[2\n\n", chat_chunk("two"))
    assert found["parts"] == [text("one two")]


def test_fields_of_choice_and_an_end_without_a_blank_line() -> None:
    """llama-server sends nothing but the fields that were asked for."""
    pieces = [event({"content": "one "}), event({"content": "two "}), event({"content": "three"})[:-1]]
    assert collect_one(SSE, *pieces) == said("one two three", "unknown")


def test_countless_choices() -> None:
    choices = [{"index": index, "text": f"{index}", "finish_reason": "stop"} for index in (2, 1, 0, *range(3, 500))]
    found = collect(JSON, as_json({"choices": choices}))
    assert found is not None
    assert [each["parts"][0]["content"] for each in found] == [str(index) for index in range(128)]


# Anything

KEYS = st.sampled_from(
    ["choices", "index", "delta", "message", "content", "text", "finish_reason", "tool_calls", "function", "name",
     "arguments", "id", "type", "output", "object", "status", "item", "item_id", "response", "content_block",
     "stop_reason", "stop", "stop_type", "usage", "incomplete_details", "reason", "results", "partial_json",
     "tokens_predicted", "thinking", "summary", "call_id", "reasoning_content", "refusal"]
)  # fmt: skip
WORDS = st.sampled_from(
    ["message", "response", "content_block_start", "content_block_delta", "message_delta", "text_delta", "text",
     "thinking_delta", "input_json_delta", "response.output_item.added", "response.output_item.done", "tool_use",
     "response.output_text.delta", "response.completed", "transcript.text.delta", "function_call", "reasoning",
     "response.function_call_arguments.delta", "completed", "stop"]
)  # fmt: skip
VALUES = values(KEYS, WORDS)
DOCUMENTS = st.dictionaries(KEYS, VALUES, max_size=6)
REASONS = st.lists(st.text(st.characters(), max_size=5), max_size=3)


@given(DOCUMENTS | VALUES, REASONS)
@settings(max_examples=80, deadline=None)
def test_any_document(document: object, reasons: list[str]) -> None:
    check_anything(JSON, [as_json(document)], reasons)


@given(st.lists(DOCUMENTS, max_size=6), REASONS)
@settings(max_examples=80, deadline=None)
def test_any_stream(documents: list[object], reasons: list[str]) -> None:
    check_anything(SSE, [event(as_json(document).decode()) for document in documents], reasons)


def check_anything(headers: Headers, pieces: Iterable[bytes], reasons: Iterable[str]) -> None:
    answer = Answer()
    for piece in pieces:
        answer.feed(piece)
    written = answer.messages(headers, tuple(reasons))
    if written is not None:
        read(OUTPUT, written)


@st.composite
def mutated(draw: st.DrawFn) -> tuple[Exchange, bytes]:
    """A captured exchange whose answer has bytes changed, removed and doubled."""
    exchange = draw(st.sampled_from([*SERVER.values(), *ENGINE.values()]))
    body = bytearray(exchange.body)
    for _ in range(draw(st.integers(0, 6))):
        at = draw(st.integers(0, max(len(body) - 1, 0)))
        length = draw(st.integers(0, 30))
        body[at : at + length] = draw(st.sampled_from([b"", bytes(body[at : at + length]) * 2]) | st.binary(max_size=9))
    return exchange, bytes(body)


@given(mutated(), REASONS)
@settings(max_examples=80, deadline=None)
def test_mutated_captures(mutation: tuple[Exchange, bytes], reasons: list[str]) -> None:
    exchange, body = mutation
    check_anything(exchange.headers, [body], reasons)

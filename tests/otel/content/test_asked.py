"""Requests in every dialect, as the attributes of a span."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.observe.endpoints import find_endpoint
from exporter.otel.content.asked import asked
from exporter.otel.content.messages import ATTRIBUTE_BYTES
from tests.observe.replays import EXCHANGES, Exchange
from tests.otel.content.anything import values
from tests.otel.content.schemas import check_parts, read

INPUT = "gen_ai.input.messages"
SYSTEM = "gen_ai.system_instructions"
TOOLS = "gen_ai.tool.definitions"
PNG = "iVBORw0KGgo="
OPERATIONS = ["chat", "messages", "responses", "text_completion", "embeddings"]
PARAMETERS = {"type": "object", "properties": {"place": {"type": "string"}}}


def text(content: str, **more: str) -> dict[str, Any]:
    return {"type": "text", "content": content, **more}


def user(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"role": "user", "parts": list(parts)}


def ask(operation: str, **document: Any) -> dict[str, Any]:
    """The values of the attributes, all of them valid; every part is what its type says."""
    found = {name: read(name, value) for name, value in asked(operation, document).items()}
    for message in found.get(INPUT, ()):
        check_parts(message["parts"])
    check_parts(found.get(SYSTEM, []))
    assert PNG not in json.dumps(found), "media are not copied"
    return found


def test_chat_with_tools() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"place": "Wien"}'}}
    found = ask(
        "chat",
        messages=[
            {"role": "system", "content": "be kind"},
            {"role": "user", "name": "ada", "content": "weather?"},
            {"role": "assistant", "content": None, "reasoning_content": "hm", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c1", "content": "rainy"},
            {"role": "assistant", "content": "it rains", "refusal": None},
        ],
        tools=[{"type": "function", "function": {"name": "weather", "description": "w", "parameters": PARAMETERS}}],
    )
    tool_call = {"type": "tool_call", "id": "c1", "name": "weather", "arguments": {"place": "Wien"}}
    assert found[INPUT] == [
        {"role": "system", "parts": [text("be kind")]},
        user(text("weather?")) | {"name": "ada"},
        {"role": "assistant", "parts": [{"type": "reasoning", "content": "hm"}, tool_call]},
        {"role": "tool", "parts": [{"type": "tool_call_response", "id": "c1", "response": "rainy"}]},
        {"role": "assistant", "parts": [text("it rains")]},
    ]
    assert found[TOOLS] == [{"type": "function", "name": "weather", "description": "w", "parameters": PARAMETERS}]
    assert SYSTEM not in found, "what is part of the conversation stays there"


@pytest.mark.parametrize(
    ("block", "part"),
    [
        ({"type": "text", "text": "hi"}, text("hi")),
        ("hi", text("hi")),
        (
            {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
            {"type": "blob", "modality": "image", "mime_type": "image/png", "content": ""},
        ),
        (
            {"type": "image_url", "image_url": {"url": "https://x.example/a.png"}},
            {"type": "uri", "modality": "image", "uri": "https://x.example/a.png"},
        ),
        ({"type": "image_url", "image_url": PNG}, {"type": "blob", "modality": "image", "content": ""}),
        (
            {"type": "input_audio", "input_audio": {"data": PNG, "format": "wav"}},
            {"type": "blob", "modality": "audio", "mime_type": "audio/wav", "content": ""},
        ),
        (
            {"type": "input_image", "image_url": "https://x.example/a.png"},
            {"type": "uri", "modality": "image", "uri": "https://x.example/a.png"},
        ),
        (
            {"type": "video_url", "video_url": {"url": f"DATA:video/mp4,{PNG}"}},
            {"type": "blob", "modality": "video", "mime_type": "video/mp4", "content": ""},
        ),
        (
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
            {"type": "blob", "modality": "image", "mime_type": "image/png", "content": ""},
        ),
        (
            {"type": "image", "data": PNG, "mimeType": "image/png"},
            {"type": "blob", "modality": "image", "mime_type": "image/png", "content": ""},
        ),
        ({"type": "image"}, {"type": "blob", "modality": "image", "content": ""}),
        ({"type": "thinking", "thinking": "hm", "signature": "s"}, {"type": "reasoning", "content": "hm"}),
        ({"type": "redacted_thinking", "data": PNG}, {"type": "redacted_thinking"}),
        ({"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {}}, {"type": "server_tool_use"}),
        (
            {"type": "file", "file": {"filename": "a.pdf", "file_data": f"data:application/pdf;base64,{PNG}"}},
            {"type": "blob", "modality": "file", "mime_type": "application/pdf", "content": ""},
        ),
        (
            {"type": "document", "source": {"type": "url", "url": "https://x.example/a.pdf"}},
            {"type": "uri", "modality": "document", "uri": "https://x.example/a.pdf"},
        ),
        ({"type": "hologram", "hologram": PNG}, {"type": "hologram"}),
        ({"type": "poem", "text": "oh", "data": PNG}, {"type": "poem", "content": "oh"}),
    ],
)
def test_blocks(block: Any, part: dict[str, Any]) -> None:
    for operation in ("chat", "messages"):
        found = ask(operation, messages=[{"role": "user", "content": [text_block("see"), block]}])
        assert found[INPUT] == [user(text("see"), part)]


def text_block(content: str) -> dict[str, str]:
    return {"type": "text", "text": content}


def test_anthropic_conversation() -> None:
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
    found = ask(
        "messages",
        system=[text_block("be kind"), text_block("and brief")],
        messages=[
            {"role": "user", "content": "look"},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "eye", "input": {"at": 1}}]},
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "t1", "content": [text_block("a cat"), image]},
                    {"type": "tool_result", "tool_use_id": "t2", "content": [text_block("a dog")], "is_error": True},
                ],
            },
        ],
        tools=[
            {"name": "eye", "description": "sees", "input_schema": PARAMETERS},
            {"type": "web_search_20250305", "name": "web_search"},
            {"no": "name"},
        ],
    )
    blob = {"type": "blob", "modality": "image", "mime_type": "image/png", "content": ""}
    responses = [
        {"type": "tool_call_response", "id": "t1", "response": [text("a cat"), blob]},
        {"type": "tool_call_response", "id": "t2", "response": "a dog", "is_error": True},
    ]
    call = {"type": "tool_call", "id": "t1", "name": "eye", "arguments": {"at": 1}}
    assert found[INPUT] == [
        user(text("look")),
        {"role": "assistant", "parts": [call]},
        {"role": "tool", "parts": responses},
    ]
    assert found[SYSTEM] == [text("be kind"), text("and brief")]
    assert found[TOOLS] == [
        {"type": "function", "name": "eye", "description": "sees", "parameters": PARAMETERS},
        {"type": "web_search_20250305", "name": "web_search"},
    ]


def test_responses() -> None:
    found = ask(
        "responses",
        instructions="be kind",
        input=[
            {"role": "developer", "content": "be brief"},
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]},
            {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}], "encrypted_content": PNG},
            {"type": "function_call", "call_id": "c1", "id": "f1", "name": "weather", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c1", "output": "rainy"},
            {"type": "web_search_call", "id": "w1", "action": {"query": "q"}},
        ],
        tools=[{"type": "function", "name": "weather"}, {"type": "web_search"}],
    )
    assert [each["role"] for each in found[INPUT]] == [
        "developer", "user", "assistant", "assistant", "tool", "assistant"
    ]  # fmt: skip
    assert [each["parts"][0] for each in found[INPUT]] == [
        text("be brief"),
        text("hi"),
        {"type": "reasoning", "content": "hm"},
        {"type": "tool_call", "id": "c1", "name": "weather", "arguments": {}},
        {"type": "tool_call_response", "id": "c1", "response": "rainy"},
        {"type": "web_search_call"},
    ]
    assert found[SYSTEM] == [text("be kind")]
    assert found[TOOLS] == [{"type": "function", "name": "weather"}]
    assert ask("responses", input="hi") == {INPUT: [user(text("hi"))]}


@pytest.mark.parametrize("operation", ["text_completion", "embeddings"])
def test_prompts(operation: str) -> None:
    key = {"text_completion": "prompt", "embeddings": "input"}[operation]
    assert ask(operation, **{key: "hi"}) == {INPUT: [user(text("hi"))]}
    assert ask(operation, **{key: ["one", "two"]}) == {INPUT: [user(text("one")), user(text("two"))]}


def test_content_of_an_embedding() -> None:
    assert ask("embeddings", content="a") == {INPUT: [user(text("a"))]}


@pytest.mark.parametrize("prompt", [None, "", [], {}, 7, [None], [[]], [1, 2], [[1], [2]], [{"prompt_string": "hi"}]])
def test_no_prompt(prompt: Any) -> None:
    assert ask("text_completion", prompt=prompt) == {}


def test_newest_messages_are_kept() -> None:
    messages = [{"role": "user", "content": f"{number} {'é' * 9000}"} for number in range(400)]
    found = ask("chat", messages=messages)[INPUT]
    assert [each["parts"][0]["content"][:4] for each in found] == ["398 ", "399 "]


def test_every_text_is_cut() -> None:
    """Wherever a text may stand."""
    words = "a word " * 20_000
    block = {"type": "poem", "text": words}
    result = {"type": "tool_result", "content": words}
    call = {"type": "tool_use", "name": "f", "input": {"a": words}}
    for content in (words, text_block(words), block, result, call, {"type": "thinking", "thinking": words}):
        messages = [{"role": "user", "content": [content]}]
        found = ask("messages", messages=messages, system=words, tools=[{"name": "f", "description": words}])
        assert json.dumps(found, ensure_ascii=False).count('…"') == 3


def test_operations_that_ask_nothing() -> None:
    document = {"content": "hi", "messages": [{"role": "user", "content": "hi"}], "prompt": "hi", "query": "hi"}
    assert [asked(operation, document) for operation in ("tokenize", "infill", "rerank")] == [{}] * 3


def test_tools_that_are_too_long_lose_their_parameters() -> None:
    function = {"description": "what", "parameters": {"a": "é " * 9000}}
    tools = [{"type": "function", "function": {"name": f"f{number}", **function}} for number in range(20)]
    assert ask("chat", tools=tools) == {
        TOOLS: [{"type": "function", "name": f"f{number}", "description": "what"} for number in range(20)]
    }
    found = ask("chat", tools=[{"name": f"f{number}", "description": "é" * 30_000} for number in range(9)])[TOOLS]
    assert [each["name"] for each in found] == ["f0", "f1", "f2"]


def test_results_of_tools_within_results_end() -> None:
    block: Any = "deep"
    for _ in range(5000):
        block = {"type": "tool_result", "tool_use_id": "t", "content": [block]}
    found = ask("messages", messages=[{"role": "user", "content": [block]}])
    assert found[INPUT][0]["role"] == "tool"
    assert len(json.dumps(found)) < 2000


def test_pictures_in_results_stay_away() -> None:
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
    result = {"type": "tool_result", "content": [{"type": "odd"}, picture, {"mimeType": "image/png", "data": PNG}]}
    found = ask("messages", messages=[{"role": "user", "content": [result]}])
    assert json.dumps(found[INPUT][0]["parts"][0]["response"]).count("image/png") == 2


@pytest.mark.parametrize("result", [{"a": 1}, [1, {"b": None}], [], None, 2.5, True])
def test_results_of_any_form(result: Any) -> None:
    found = ask("chat", messages=[{"role": "tool", "tool_call_id": "c1", "content": result}])
    response = {"type": "tool_call_response", "id": "c1", "response": result}
    assert found[INPUT] == [{"role": "tool", "parts": [response]}]


def operation_of(exchange: Exchange) -> str | None:
    """Of a captured request that the model is asked something by."""
    endpoint = find_endpoint(exchange.method, exchange.path)
    is_broken = exchange.name in ("error-bad-json", "error-missing-field")
    return endpoint.operation if endpoint.operation in OPERATIONS and not is_broken else None


CAPTURED = sorted(name for name, exchange in EXCHANGES.items() if operation_of(exchange))


@pytest.mark.parametrize("name", CAPTURED)
def test_captured_requests(name: str) -> None:
    document = json.loads(EXCHANGES[name].request)
    found = ask(operation_of(EXCHANGES[name]) or "", **document)
    assert found[INPUT][0]["parts"][0]["content"]
    assert (TOOLS in found) == ("tools" in document)


# Anything

KEYS = st.sampled_from(
    ["role", "content", "type", "text", "messages", "tool_calls", "function", "name", "arguments", "id", "image_url",
     "url", "source", "data", "media_type", "input", "prompt", "tools", "parameters", "system", "instructions",
     "thinking", "format", "reasoning_content", "refusal", "output", "summary", "call_id", "tool_use_id", "is_error",
     "description"]
)  # fmt: skip
WORDS = st.sampled_from(
    ["user", "assistant", "tool", "text", "image_url", "image", "input_audio", "tool_use", "tool_result",
     "thinking", "document", "reasoning", "function_call", "function_call_output", "web_search_call", "message",
     "data:image/png;base64,AAAA", "{}", "https://x"]
)  # fmt: skip
VALUES = values(KEYS, WORDS)


@pytest.mark.parametrize("operation", OPERATIONS)
@given(document=st.dictionaries(KEYS, VALUES, max_size=8))
@settings(max_examples=40, deadline=None)
def test_anything(operation: str, document: dict[str, Any]) -> None:
    for name, value in asked(operation, document).items():
        read(name, value)
        assert len(value.encode()) <= ATTRIBUTE_BYTES


@given(st.lists(VALUES, max_size=6), st.lists(VALUES, max_size=4))
@settings(max_examples=60, deadline=None)
def test_any_conversation(messages: list[Any], contents: list[Any]) -> None:
    messages += [{"role": "user", "content": contents}, {"role": "assistant", "tool_calls": contents}]
    for operation, key in (("chat", "messages"), ("messages", "messages"), ("responses", "input")):
        found = asked(operation, {key: messages, "tools": contents, "system": contents, "instructions": contents})
        for name, value in found.items():
            read(name, value)
        assert INPUT in found

"""What people say to models, and what opens doors, is in no span, metric or line of the log: the first unless it is
asked for, the second never."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from exporter.demo.engine import Engine
from tests.end_to_end.dialects import KINDS, MODEL
from tests.end_to_end.sidecar import Sidecar
from tests.end_to_end.traced import CHAT, QUICK, Seen, Stand, ask, everything_said, new_context, standing, tree_of
from tests.otlp.receiver import HTTP, Failure, Receiver

SCHEMAS = Path(__file__).resolve().parents[1] / "golden" / "semconv"
META_SCHEMA = '"$ref": "http://json-schema.org/draft-07/schema#"'
"""Which the validator would have to fetch."""
CONTENT = {
    "gen_ai.input.messages": "gen-ai-input-messages",
    "gen_ai.output.messages": "gen-ai-output-messages",
    "gen_ai.system_instructions": "gen-ai-system-instructions",
    "gen_ai.tool.definitions": "gen-ai-tool-definitions",
}
ASKED, RULE = "xylophone", "zeppelin"
TOOL = {
    "name": "look_up",
    "description": "Looks it up.",
    "parameters": {"type": "object", "properties": {"word": {"type": "string"}}},
}
CHAT_TOOLS = [{"type": "function", "function": TOOL}]
MESSAGES = [{"role": "user", "content": f"What is a {ASKED}?"}]

PROXY_KEY, UPSTREAM_KEY, CLIENT_KEY, COOKIE, QUERY = "sesame-1", "sesame-2", "sesame-3", "sesame-4", "sesame-5"
OTLP_KEY, OTLP_PASSWORD = "sesame-6", "sesame-7"
SECRET = "sesame"


@pytest.fixture(scope="module")
def capturing(start_engine: Callable[..., Engine]) -> Iterator[Stand]:
    engine = start_engine(embedding=True, alias=MODEL)
    with standing(HTTP, engine, OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT="true") as stand:
        yield stand


def content(stand: Stand, seen: Seen) -> dict[str, Any]:
    """What the span of a request carries, each part of it as its schema wants it."""
    attributes = tree_of(stand.receiver, seen).request.attributes
    found = {name: json.loads(attributes[name]) for name in CONTENT if name in attributes}
    for name, value in found.items():
        schema = (SCHEMAS / f"{CONTENT[name]}.json").read_text().replace(META_SCHEMA, '"type": "object"')
        jsonschema_rs.validator_for(json.loads(schema)).validate(value)
    return found


def texts(messages: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Who says what."""
    return [(each["role"], "".join(part["content"] for part in each["parts"])) for each in messages]


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
def test_a_chat(capturing: Stand, stream: bool) -> None:
    body = {"model": MODEL, "messages": [{"role": "system", "content": RULE}, *MESSAGES], "max_tokens": 8}
    seen = capturing.ask(CHAT, {**body, "stream": stream})
    found = content(capturing, seen)
    rest = [(each["type"], each["content"]) for each in found.get("gen_ai.system_instructions", ())]
    asked = texts(found["gen_ai.input.messages"])
    assert asked[-1] == ("user", MESSAGES[0]["content"])
    assert asked[:-1] == [("system", RULE)] or rest == [("text", RULE)]
    (answer,) = found["gen_ai.output.messages"]
    assert texts([answer]) == [("assistant", answered(seen, stream))]
    choices = seen.events[-1]["choices"] if stream else seen.document["choices"]
    assert answer["finish_reason"] == choices[0]["finish_reason"]
    assert "gen_ai.tool.definitions" not in found


def answered(seen: Seen, stream: bool) -> str:
    if not stream:
        return str(seen.document["choices"][0]["message"]["content"])
    return "".join(event["choices"][0]["delta"].get("content") or "" for event in seen.events)


def test_tools(capturing: Stand) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "look_up", "arguments": f'{{"word": "{ASKED}"}}'}}
    turns = [
        *MESSAGES,
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "An instrument."},
    ]
    found = content(capturing, capturing.ask_fake({"model": "auto", "messages": turns, "tools": CHAT_TOOLS}))
    (tool,) = found["gen_ai.tool.definitions"]
    assert (tool["type"], tool["name"]) == ("function", "look_up")
    asked = found["gen_ai.input.messages"]
    assert [each["role"] for each in asked] == ["user", "assistant", "tool"]
    (calling,), (said,) = asked[1]["parts"], asked[2]["parts"]
    assert (calling["type"], calling["id"], calling["name"]) == ("tool_call", "c1", "look_up")
    assert calling["arguments"] == {"word": ASKED}
    assert (said["type"], said["id"], said["response"]) == ("tool_call_response", "c1", "An instrument.")


def test_messages_of_anthropic(capturing: Stand) -> None:
    seen = capturing.ask("/v1/messages", {"model": MODEL, "system": RULE, "messages": MESSAGES, "max_tokens": 8})
    found = content(capturing, seen)
    assert found["gen_ai.system_instructions"] == [{"type": "text", "content": RULE}]
    assert texts(found["gen_ai.input.messages"]) == [("user", MESSAGES[0]["content"])]
    said = "".join(part["text"] for part in seen.document["content"])
    assert texts(found["gen_ai.output.messages"]) == [("assistant", said)]


def test_a_response(capturing: Stand) -> None:
    body = {"model": MODEL, "instructions": RULE, "input": MESSAGES[0]["content"], "max_output_tokens": 8}
    seen = capturing.ask("/v1/responses", body)
    found = content(capturing, seen)
    assert found["gen_ai.system_instructions"] == [{"type": "text", "content": RULE}]
    assert texts(found["gen_ai.input.messages"]) == [("user", MESSAGES[0]["content"])]
    said = "".join(part["text"] for item in seen.document["output"] for part in item["content"])
    assert texts(found["gen_ai.output.messages"]) == [("assistant", said)]


def test_a_completion(capturing: Stand) -> None:
    seen = capturing.ask("/v1/completions", {"model": MODEL, "prompt": ASKED, "max_tokens": 8})
    found = content(capturing, seen)
    assert texts(found["gen_ai.input.messages"]) == [("user", ASKED)]
    assert texts(found["gen_ai.output.messages"]) == [("assistant", seen.document["choices"][0]["text"])]


def test_images_are_named_and_long_texts_cut(capturing: Stand) -> None:
    """A request that fails carries what it asked, too."""
    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{'iVBO' * 500}"}}
    parts = [{"type": "text", "text": f"{ASKED} " * 100_000}, image]
    body = {"model": "auto", "messages": [{"role": "user", "content": "early"}, {"role": "user", "content": parts}]}
    seen = capturing.ask_fake(body)
    assert seen.status == 500
    attribute = tree_of(capturing.receiver, seen).request.attributes["gen_ai.input.messages"]
    found = content(capturing, seen)["gen_ai.input.messages"]
    assert len(attribute) < 500_000
    assert "iVBOiVBO" not in attribute
    assert ASKED in attribute
    assert "image" in repr(found[-1]["parts"])


def test_none_of_it_unless_asked_for(start_engine: Callable[..., Engine]) -> None:
    """Errors of llama-server quote what they complain of."""
    engine = start_engine(embedding=True, alias=MODEL)
    variables = {**QUICK, "LLAMA_EXPORTER_LOG__LEVEL": "debug"}
    with Receiver() as receiver:
        environment = {**receiver.environment, **variables}
        with Sidecar("--upstream", engine.url, environment=environment) as sidecar:
            for body in ({"max_tokens": 4}, {"max_tokens": 4, "stream": True}, {"max_tokens": ASKED}):
                asked = {"model": MODEL, "messages": MESSAGES, "user": ASKED, **body}
                seen = ask(sidecar.proxy, CHAT, asked, context=new_context())
                span = tree_of(receiver, seen).request
                assert not span.attributes.keys() & CONTENT.keys()
            receiver.wait_for(lambda: receiver.metrics)
            assert not [said for said in everything_said(receiver, sidecar) if ASKED in said]


def test_secrets_are_told_to_nobody(start_engine: Callable[..., Engine]) -> None:
    """With everything captured and logged that can be, and a receiver that refuses at first."""
    engine = start_engine(embedding=True, alias=MODEL)
    upstream = json.dumps([{"url": engine.url, "api_key": UPSTREAM_KEY}])
    with Receiver() as receiver:
        receiver.fail(2, Failure(status=401))
        variables = {
            **receiver.environment,
            **QUICK,
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint.replace("://", f"://user:{OTLP_PASSWORD}@"),
            "OTEL_EXPORTER_OTLP_HEADERS": f"x-otlp-key={OTLP_KEY}",
            "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "true",
            "LLAMA_EXPORTER_UPSTREAMS": upstream,
            "LLAMA_EXPORTER_AUTH__PROXY_API_KEYS": PROXY_KEY,
            "LLAMA_EXPORTER_LOG__LEVEL": "debug",
        }
        with Sidecar(environment=variables) as sidecar:
            sidecar.wait_until(lambda: receiver.refused == 2)
            credentials = {"x_api_key": CLIENT_KEY, "cookie": f"session={COOKIE}"}
            for key, status in ((PROXY_KEY, 200), (f"{SECRET}-wrong", 401)):
                path = f"{CHAT}?api_key={QUERY}"
                headers: dict[str, Any] = {**credentials, "authorization": f"Bearer {key}"}
                seen = ask(sidecar.proxy, path, KINDS["chat"].body, context=new_context(), **headers)
                assert seen.status == status
                tree_of(receiver, seen)
            receiver.wait_for(lambda: receiver.metrics)
            assert sidecar.stop() == 0
            told = [*map(repr, receiver.spans), *map(repr, receiver.metrics), *map(repr, sidecar.log)]
        assert receiver.requests[0].headers["x-otlp-key"] == OTLP_KEY
    assert not [said for said in told if SECRET in said]

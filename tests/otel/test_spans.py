"""What spans say of requests, by what was asked."""

from __future__ import annotations

import json
from typing import Any

import pytest

from exporter.otel.spans import asked_attributes
from tests.fakes.answers import json_reply
from tests.fakes.llama_server import FakeServer
from tests.otel.tracer import attributes, traced_proxy
from tests.proxy.harness import ask

SAMPLED = ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")


@pytest.mark.parametrize(
    ("method", "target", "body"),
    [
        ("GET", "/health?key=hidden", None),
        ("POST", "/tokenize", {"model": "m", "content": "hello", "temperature": 1, "n_predict": 4}),
        ("DELETE", "/nowhere", {"model": "m"}),
    ],
)
async def test_what_runs_no_model_has_nothing_of_generative_ai(method: str, target: str, body: object) -> None:
    reply = json_reply({"model": "answered", "id": "x", "usage": {"prompt_tokens": 1, "completion_tokens": 2}})
    request = ask(method, target, SAMPLED, body=None if body is None else json.dumps(body).encode())
    async with FakeServer(reply) as server, traced_proxy(server.url, capture_content=True) as traced:
        async with await traced.proxy.connect() as client:
            assert (await client.exchange(request))[0] == 200
        span, _ = await traced.only()
    found = attributes(span)
    assert [name for name in found if name.startswith("gen_ai.")] == []
    assert (found["http.request.method"], found["url.path"]) == (method, target.partition("?")[0])
    assert (found["http.response.status_code"], found["server.port"]) == (200, server.port)
    assert " " not in span.name


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"n_predict": 7}, 7),
        ({"n_predict": -1}, None),
        ({"n_predict": -1, "max_tokens": None}, None),
        ({"max_tokens": -1, "n_predict": 5}, 5),
        ({"max_tokens": "7"}, None),
        ({"max_tokens": True}, None),
        ({"max_output_tokens": 3}, 3),
    ],
)
def test_a_limit_that_is_none_is_no_number_of_tokens(document: dict[str, Any], expected: int | None) -> None:
    assert asked_attributes(document).get("gen_ai.request.max_tokens") == expected


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"response_format": {"type": "json_schema"}}, "json"),
        ({"text": {"format": {"type": "text"}}}, "text"),
        ({"json_schema": {"type": "object"}}, "json"),
        ({"response_format": {"type": ["json_object"]}}, None),
        ({"response_format": "json_object"}, None),
    ],
)
def test_the_type_of_output(document: dict[str, Any], expected: str | None) -> None:
    assert asked_attributes(document).get("gen_ai.output.type") == expected

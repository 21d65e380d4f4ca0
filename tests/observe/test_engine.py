"""A real llama.cpp engine: what we read in its answers is what its counters say, to the token."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from exporter.demo.engine import Engine
from exporter.observe.observation import Look, Observation
from exporter.record import Outcome, RequestRecord, TokenSource

MESSAGES = [{"role": "user", "content": "hi there"}]
STREAM = {"stream": True}
GENERATION: dict[str, tuple[str, dict[str, Any]]] = {
    "chat": ("/v1/chat/completions", {"messages": MESSAGES, "max_tokens": 7}),
    "chat stream": ("/v1/chat/completions", {"messages": MESSAGES, "max_tokens": 7} | STREAM),
    "chat stream, one token": ("/v1/chat/completions", {"messages": MESSAGES, "max_tokens": 1} | STREAM),
    "chat stream with usage": (
        "/v1/chat/completions",
        {"messages": MESSAGES, "max_tokens": 7, "stream_options": {"include_usage": True}} | STREAM,
    ),
    "chat stream, three choices": ("/v1/chat/completions", {"messages": MESSAGES, "max_tokens": 5, "n": 3} | STREAM),
    "chat stream, all figures": (
        "/v1/chat/completions",
        {
            "messages": MESSAGES,
            "max_tokens": 5,
            "n": 2,
            "timings_per_token": True,
            "return_progress": True,
            "stream_options": {"include_usage": True},
        }
        | STREAM,
    ),
    "text": ("/v1/completions", {"prompt": "hi there", "max_tokens": 7}),
    "text stream": ("/v1/completions", {"prompt": "hi there", "max_tokens": 7} | STREAM),
    "text stream, two prompts": ("/v1/completions", {"prompt": ["hi there", "a b c d"], "max_tokens": 3} | STREAM),
    "text stream, two prompts, two choices": (
        "/v1/completions",
        {"prompt": ["hi there", "a b c d"], "max_tokens": 3, "n": 2} | STREAM,
    ),
    "native": ("/completion", {"prompt": "hi there", "n_predict": 7}),
    "native stream": ("/completion", {"prompt": "hi there", "n_predict": 7} | STREAM),
    "native, two prompts": ("/completion", {"prompt": ["hi there", "a b c d"], "n_predict": 3}),
    "native, two prompts, two choices": ("/completion", {"prompt": ["hi there", "a b c d"], "n_predict": 3, "n": 2}),
    "messages": ("/v1/messages", {"messages": MESSAGES, "max_tokens": 7}),
    "responses": ("/v1/responses", {"input": "hi there", "max_output_tokens": 7}),
    "responses stream": ("/v1/responses", {"input": "hi there", "max_output_tokens": 7} | STREAM),
}


def connect(engine: Engine) -> httpx.Client:
    """A client that uses each connection once: the engine closes some that it has promised to keep."""
    return httpx.Client(base_url=engine.url, limits=httpx.Limits(max_keepalive_connections=0))


def counters(client: httpx.Client) -> tuple[int, int]:
    """Prompt tokens, cached ones included, and generated tokens since the engine was started."""
    lines = client.get("/metrics").text.split("\n")
    values = dict(line.split(" ") for line in lines if line.startswith("llamacpp:"))
    prompt = int(values["llamacpp:prompt_tokens_total"]) + int(values["llamacpp:prompt_tokens_cached_total"])
    return prompt, int(values["llamacpp:tokens_predicted_total"])


def ask(client: httpx.Client, path: str, body: dict[str, Any], leave_after: int | None = None) -> RequestRecord:
    """One request, observed as the forwarder does it. `leave_after` content chunks the client leaves."""
    content = json.dumps(body).encode()
    observation = Observation(
        now=0.0, wall=0.0, request_id="", method="POST", path=path, query=b"", headers=[], look=Look()
    )
    observation.feed_request(content)
    observation.end_request()
    with client.stream("POST", path, content=content) as response:
        observation.answer(1.0, response.status_code, [(name.lower(), value) for name, value in response.headers.raw])
        for chunk in response.iter_raw():
            observation.feed(2.0, chunk)
            if leave_after is not None and observation.content_chunks >= leave_after:
                return observation.finish(3.0, Outcome.CLIENT_GONE)
    assert observation.parse_errors == 0
    return observation.finish(3.0)


@pytest.fixture(scope="module")
def counted_engine(start_engine: Callable[..., Engine]) -> Engine:
    """An engine that answers nobody but this module."""
    return start_engine(alias="observed")


@pytest.mark.parametrize("name", GENERATION)
def test_tokens_are_the_servers_own(counted_engine: Engine, name: str) -> None:
    path, body = GENERATION[name]
    with connect(counted_engine) as client:
        before = counters(client)
        record = ask(client, path, body)
        after = counters(client)
    assert (record.input_tokens, record.output_tokens) == (after[0] - before[0], after[1] - before[1])
    assert record.token_source is TokenSource.SERVER
    assert record.outcome is Outcome.COMPLETED


@pytest.mark.parametrize(
    ("options", "path", "body"),
    [
        ({"embedding": True}, "/v1/embeddings", {"input": ["hi there", "a b c"]}),
        ({"reranking": True}, "/v1/rerank", {"query": "hi", "documents": ["a", "b c"]}),
    ],
)
def test_input_tokens_are_the_servers_own(
    start_engine: Callable[..., Engine], options: dict[str, bool], path: str, body: dict[str, Any]
) -> None:
    with connect(start_engine(alias="observed", **options)) as client:
        before = counters(client)
        record = ask(client, path, body)
        after = counters(client)
    assert (record.input_tokens, record.output_tokens) == (after[0] - before[0], None)
    assert (record.input_tokens or 0) > 0


def test_a_client_that_leaves_a_native_stream_knows_the_tokens_it_saw(counted_engine: Engine) -> None:
    with connect(counted_engine) as client:
        record = ask(client, "/completion", {"prompt": "hi", "n_predict": 900, "stream": True}, leave_after=5)
    assert record.token_source is TokenSource.SERVER
    assert (record.output_tokens or 0) >= 5
    assert (record.input_tokens or 0) > 0

"""Traces of requests that go well, as a receiver of OTLP gets them: what there is to a span is what the client saw and
what llama-server said."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest

from exporter import __version__
from exporter.demo.engine import Engine
from tests.end_to_end.dialects import KINDS, MODEL, Kind, told
from tests.end_to_end.fake import STREAM_HEAD, WELL, Gate, content_frame, frame
from tests.end_to_end.traced import CHAT, EARLY_NS, HELLO, LATE_NS, Seen, Stand, ask, only, standing, tree_of
from tests.fakes.answers import Answer, json_reply, request_received
from tests.fakes.wire import LAST_CHUNK, chunk
from tests.otlp.arrived import Span
from tests.otlp.receiver import GRPC, HTTP


@pytest.fixture(scope="module", params=[HTTP, GRPC])
def stand(request: pytest.FixtureRequest, start_engine: Callable[..., Engine]) -> Iterator[Stand]:
    with standing(request.param, start_engine(embedding=True, alias=MODEL)) as stand:
        yield stand


def trace(stand: Stand, seen: Seen) -> tuple[Span, Span]:
    """A request, and the attempt that was answered. The engine closes connections without a word, and what was sent
    into one that was closed is sent again."""
    request, (*again, attempt) = tree_of(stand.receiver, seen)
    assert request.attributes["llm.attempts"] == len(again) + 1
    assert {span.status for span in again} <= {"error"}
    assert {span.trace_id for span in (*again, attempt)} == {request.trace_id}
    assert {span.parent_id for span in (*again, attempt)} == {request.span_id}
    assert attempt.attributes.get("http.request.resend_count", 0) == len(again)
    return request, attempt


def check_times(seen: Seen, request: Span, attempt: Span) -> None:
    """One after the other, and within what the client measured."""
    assert seen.began_ns - EARLY_NS <= request.start_ns <= attempt.start_ns + EARLY_NS
    assert attempt.start_ns < attempt.end_ns <= request.end_ns + EARLY_NS
    assert request.end_ns <= seen.ended_ns + LATE_NS


def check_attempt(stand: Stand, kind: Kind, attempt: Span) -> None:
    place = urlsplit(stand.engine.url)
    assert (attempt.name, attempt.kind, attempt.status) == ("POST", "client", "unset")
    assert attempt.scope == "opentelemetry.instrumentation.httpx"
    expected = {
        "http.request.method": "POST",
        "url.full": f"{stand.engine.url}{kind.path}",
        "server.address": place.hostname,
        "server.port": place.port,
        "http.response.status_code": 200,
        "llm.upstream": "Q4",
    }
    assert only(attempt.attributes, *expected) == expected


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_a_request_and_the_attempt_beneath_it(stand: Stand, kind: Kind) -> None:
    seen = stand.ask(f"{kind.path}?secret=hunter2", kind.body)
    assert seen.status == 200
    request, attempt = trace(stand, seen)
    assert seen.context is not None
    assert (request.trace_id, request.parent_id) == seen.context[:2]
    assert (request.name, request.kind, request.status) == (f"{kind.operation} {MODEL}", "client", "unset")
    check_attempt(stand, kind, attempt)
    check_times(seen, request, attempt)
    assert "hunter2" not in repr((request, attempt))
    place = urlsplit(stand.engine.url)
    expected = {
        "gen_ai.operation.name": kind.operation,
        "gen_ai.provider.name": "llama_cpp",
        "gen_ai.request.model": MODEL,
        "gen_ai.request.stream": True if kind.stream else None,
        "server.address": place.hostname,
        "server.port": place.port,
        "error.type": None,
        "http.response.status_code": 200,
        "llm.outcome": "completed",
        "llm.tier": "Q4",
        "llm.upstream": "Q4",
    }
    assert only(request.attributes, *expected) == expected
    assert len(request.attributes["llm.request_id"]) == 16


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_figures_are_llama_servers_own(stand: Stand, kind: Kind) -> None:
    seen = stand.ask(kind.path, kind.body)
    request, _ = trace(stand, seen)
    says = told(kind, seen)
    assert says.input_tokens or kind == KINDS["messages-stream"]
    expected = {
        "gen_ai.usage.input_tokens": says.input_tokens,
        "gen_ai.usage.output_tokens": says.output_tokens,
        "gen_ai.response.id": says.id,
        "gen_ai.response.model": says.model,
    }
    assert only(request.attributes, *expected) == expected
    if says.cached_tokens is not None:
        assert request.attributes["gen_ai.usage.cache_read.input_tokens"] == says.cached_tokens
    if says.reasons:
        assert request.attributes["gen_ai.response.finish_reasons"] == says.reasons


@pytest.mark.parametrize("kind", [kind for kind in KINDS.values() if kind.stream], ids=lambda kind: kind.path)
def test_the_first_token_of_a_stream(stand: Stand, kind: Kind) -> None:
    seen = stand.ask(kind.path, kind.body)
    request, _ = trace(stand, seen)
    (event,) = request.events
    assert event.name == "llm.first_token"
    assert seen.first_ns is not None
    assert request.start_ns < event.time_ns <= min(request.end_ns + EARLY_NS, seen.first_ns + LATE_NS)
    to_first = request.attributes["gen_ai.response.time_to_first_chunk"]
    assert to_first == pytest.approx((event.time_ns - request.start_ns) / 1e9, abs=EARLY_NS / 1e9)


def test_the_first_token_comes_when_llama_server_sends_it(stand: Stand) -> None:
    """A server that thinks, and says so in a piece without content, has not sent a first token."""
    thinking, generating = Gate(), Gate()
    role = frame({"choices": [{"index": 0, "delta": {"role": "assistant", "content": None}}]})
    steps = STREAM_HEAD, chunk(role), thinking, chunk(content_frame("well")), generating, LAST_CHUNK
    stand.fake.answers = [Answer(request_received, *steps)]
    opened: list[int] = []

    def open_gates(seen: Seen) -> bool:
        if seen.first_ns is None:
            opened.append(thinking.open())
        else:
            generating.open()
        return False

    body = {"model": "auto", "messages": HELLO, "stream": True}
    seen = stand.ask(CHAT, body, x_routing_tier="Q3", leave=open_gates)
    request, attempt = trace(stand, seen)
    (event,) = request.events
    assert seen.first_ns is not None
    assert opened[-1] - EARLY_NS <= event.time_ns <= seen.first_ns + LATE_NS
    assert attempt.end_ns <= event.time_ns + EARLY_NS <= request.end_ns + 2 * EARLY_NS


def test_an_answer_that_is_no_stream_has_no_first_token(stand: Stand) -> None:
    request, _ = trace(stand, stand.ask(CHAT, KINDS["chat"].body))
    assert request.events == ()
    assert "gen_ai.response.time_to_first_chunk" not in request.attributes


def test_what_a_chat_asks_for(stand: Stand) -> None:
    asked = {
        **KINDS["chat"].body,
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": 20,
        "frequency_penalty": 0.25,
        "presence_penalty": -0.5,
        "seed": 7,
        "stop": ["END", "##"],
        "n": 2,
        "response_format": {"type": "text"},
    }
    seen = stand.ask(CHAT, asked)
    request, _ = trace(stand, seen)
    assert seen.status == 200
    expected = {
        "gen_ai.request.max_tokens": 6,
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.top_p": 0.9,
        "gen_ai.request.top_k": 20,
        "gen_ai.request.frequency_penalty": 0.25,
        "gen_ai.request.presence_penalty": -0.5,
        "gen_ai.request.seed": 7,
        "gen_ai.request.stop_sequences": ["END", "##"],
        "gen_ai.request.choice.count": 2,
        "gen_ai.output.type": "text",
    }
    assert only(request.attributes, *expected) == expected
    assert len(request.attributes["gen_ai.response.finish_reasons"]) == 2
    plain, _ = trace(stand, stand.ask(CHAT, {"model": MODEL, "messages": HELLO, "max_tokens": 2}))
    assert plain.attributes.keys() & expected.keys() == {"gen_ai.request.max_tokens"}


def test_a_chat_that_is_to_be_json(stand: Stand) -> None:
    stand.fake.answers = [WELL]
    asked = {"model": "auto", "messages": HELLO, "response_format": {"type": "json_object"}}
    request, _ = trace(stand, stand.ask(CHAT, asked, x_routing_tier="Q3"))
    assert request.attributes["gen_ai.output.type"] == "json"


def test_what_embeddings_ask_for(stand: Stand) -> None:
    asked = {**KINDS["embeddings"].body, "encoding_format": "base64", "dimensions": 64}
    request, _ = trace(stand, stand.ask("/v1/embeddings", asked))
    expected = {"gen_ai.request.encoding_formats": ["base64"], "gen_ai.embeddings.dimension.count": 64}
    assert only(request.attributes, *expected) == expected


def test_where_a_request_was_routed(stand: Stand) -> None:
    seen = stand.ask(CHAT, {"model": "auto", "messages": HELLO, "max_tokens": 2}, x_routing_complexity="SIMPLE")
    attributes = trace(stand, seen)[0].attributes
    said = {"reason": "tier", "complexity": "SIMPLE", "wanted_tier": "Q4", "fallback": False}
    expected = {f"llm.routing.{name}": value for name, value in said.items()}
    assert only(attributes, *expected) == expected
    assert attributes["gen_ai.request.model"] == "auto"


@pytest.mark.parametrize(
    ("path", "operation"),
    [("/infill", "text_completion"), ("/v1/rerank", "rerank"), ("/v1/audio/transcriptions", "transcription")],
)
def test_names_of_operations(stand: Stand, path: str, operation: str) -> None:
    stand.fake.answers = [json_reply({})]
    body = {"model": "brittle", "query": "hi", "documents": ["hi"], "input_prefix": "hi"}
    seen = stand.ask(path, body, x_routing_tier="Q3")
    request, attempt = trace(stand, seen)
    assert (request.name, request.attributes["gen_ai.operation.name"]) == (f"{operation} brittle", operation)
    assert attempt.attributes["url.full"] == f"{stand.fake.url}{path}"


def test_requests_at_the_same_time_are_not_mixed_up(stand: Stand) -> None:
    kinds = [kind for kind in KINDS.values() for _ in range(3)]
    with ThreadPoolExecutor(8) as pool:
        views = list(pool.map(lambda kind: stand.ask(kind.path, kind.body), kinds))
    for kind, seen in zip(kinds, views, strict=True):
        request, attempt = trace(stand, seen)
        assert attempt.attributes["url.full"] == f"{stand.engine.url}{kind.path}"
        assert request.attributes.get("gen_ai.response.id") == told(kind, seen).id
    spans = [span.span_id for span in stand.receiver.spans]
    assert len(spans) == len(set(spans))


def test_who_sends(stand: Stand) -> None:
    request, attempt = trace(stand, stand.ask(CHAT, KINDS["chat"].body))
    assert request.resource == attempt.resource
    resource = request.resource
    assert (resource["service.name"], resource["service.version"]) == ("llama-exporter", __version__)
    assert resource["service.instance.id"].endswith(f":{urlsplit(stand.sidecar.proxy).port}")


def test_polls_fill_no_store_of_traces(stand: Stand) -> None:
    before = {span.trace_id for span in stand.receiver.spans}
    for path in ("/v1/models", "/health"):
        assert ask(stand.sidecar.proxy, path, None).status == 200
    tokenize = {"model": MODEL, "content": "hi"}
    assert ask(stand.sidecar.proxy, "/tokenize", tokenize).status == 200
    seen = stand.ask(CHAT, KINDS["chat"].body)
    tree_of(stand.receiver, seen)
    assert seen.context is not None
    assert {span.trace_id for span in stand.receiver.spans} - before == {seen.context.trace_id}


def test_a_client_that_traces_sees_its_tokenizing(stand: Stand) -> None:
    seen = stand.ask("/tokenize", {"model": MODEL, "content": "hi"})
    request, attempt = trace(stand, seen)
    assert request.name == "tokenize"
    assert (request.attributes["http.request.method"], request.attributes["url.path"]) == ("POST", "/tokenize")
    assert not any(name.startswith("gen_ai.") for name in request.attributes)
    assert (attempt.parent_id, attempt.attributes["url.full"]) == (request.span_id, f"{stand.engine.url}/tokenize")
    listed = tree_of(stand.receiver, stand.ask("/v1/models", None))
    assert listed.attempts == []
    assert listed.request.status == "unset"

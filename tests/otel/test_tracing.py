"""The spans of requests that go through a real proxy, and what upstreams are told of them."""

from __future__ import annotations

import asyncio
import json

import pytest
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBasedTraceIdRatio
from opentelemetry.trace import SpanKind, StatusCode

from exporter.proxy.forward import Limits
from tests.fakes.answers import Answer, close, hang, json_reply, next_byte, replay, request_received, reset, sse_reply
from tests.fakes.captures import golden
from tests.fakes.llama_server import FakeServer
from tests.fakes.received import Request
from tests.fakes.wire import chunk, head
from tests.otel.tracer import attributes, events, traced_proxy
from tests.proxy.harness import ask, running_proxy
from tests.proxy.unreachable import refusing

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SAMPLED = ("traceparent", f"00-{TRACE}-{PARENT}-01")
UNSAMPLED = ("traceparent", f"00-{TRACE}-{PARENT}-00")
PATH = "/v1/chat/completions"
ASKED = {
    "model": "m.gguf",
    "messages": [{"role": "user", "content": "hello"}],
    "temperature": 0.5,
    "top_p": 0.9,
    "top_k": 40,
    "max_tokens": 7,
    "seed": 42,
    "frequency_penalty": 0.1,
    "presence_penalty": 0.2,
    "stop": ["a", "b"],
    "n": 2,
    "response_format": {"type": "json_object"},
}
ANSWER = {
    "id": "chatcmpl-1",
    "model": "answered",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hi"}}],
    "usage": {"prompt_tokens": 9, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 4}},
}


def chat(*fields: tuple[str, str], body: object = None) -> bytes:
    return ask("POST", PATH, *fields, body=json.dumps(ASKED if body is None else body).encode())


def header(request: Request, name: str) -> list[str]:
    return [value for key, value in request.headers if key.lower() == name]


async def test_a_request_and_its_attempt() -> None:
    async with FakeServer(json_reply(ANSWER)) as server, traced_proxy(server.url) as traced:
        async with await traced.proxy.connect() as client:
            assert (await client.exchange(chat()))[0] == 200
        span, (attempt,) = await traced.only()
        record = await traced.proxy.only_record()
    assert (span.name, span.kind, span.parent) == ("chat m.gguf", SpanKind.CLIENT, None)
    assert span.status.status_code is StatusCode.UNSET
    found = attributes(span)
    assert found.pop("llm.proxy_overhead") == pytest.approx(record.overhead_seconds)
    assert found == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "llama_cpp",
        "gen_ai.request.model": "m.gguf",
        "server.address": "127.0.0.1",
        "server.port": server.port,
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.top_p": 0.9,
        "gen_ai.request.top_k": 40.0,
        "gen_ai.request.max_tokens": 7,
        "gen_ai.request.seed": 42,
        "gen_ai.request.frequency_penalty": 0.1,
        "gen_ai.request.presence_penalty": 0.2,
        "gen_ai.request.stop_sequences": ("a", "b"),
        "gen_ai.request.choice.count": 2,
        "gen_ai.output.type": "json",
        "gen_ai.response.model": "answered",
        "gen_ai.response.id": "chatcmpl-1",
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.input_tokens": 9,
        "gen_ai.usage.output_tokens": 3,
        "gen_ai.usage.cache_read.input_tokens": 4,
        "http.response.status_code": 200,
        "llm.request_id": record.request_id,
        "llm.outcome": "completed",
        "llm.tier": "Q4",
        "llm.upstream": "u1",
        "llm.attempts": 1,
    }
    assert span.start_time == round(record.started_at * 1e9)
    assert span.end_time == round((record.started_at + record.duration_seconds) * 1e9)
    assert record.trace is not None
    assert span.context is not None
    assert int(record.trace.trace_id, 16) == span.context.trace_id
    assert int(record.trace.span_id, 16) == span.context.span_id
    # The attempt: stable HTTP conventions, and the context that the upstream got.
    assert (attempt.name, attempt.kind) == ("POST", SpanKind.CLIENT)
    assert attempt.context is not None
    assert header(server.requests[0], "traceparent") == [
        f"00-{attempt.context.trace_id:032x}-{attempt.context.span_id:016x}-03"
    ]
    sent = attributes(attempt)
    assert sent["http.request.method"] == "POST"
    assert sent["url.full"] == server.url + PATH
    assert sent["http.response.status_code"] == 200
    assert sent["llm.upstream"] == "u1"
    assert not any(name.startswith(("http.method", "http.url", "http.status", "net.")) for name in sent)


async def test_the_clients_trace_goes_on() -> None:
    async with FakeServer(json_reply(ANSWER)) as server, traced_proxy(server.url) as traced:
        async with await traced.proxy.connect() as client:
            await client.exchange(chat(SAMPLED, ("tracestate", "vendor=1"), ("baggage", "a = b;c ,  d=%20")))
        span, (attempt,) = await traced.only()
    assert span.parent is not None
    assert (span.parent.trace_id, span.parent.span_id) == (int(TRACE, 16), int(PARENT, 16))
    assert span.context is not None
    assert span.context.trace_id == int(TRACE, 16)
    (sent,) = header(server.requests[0], "traceparent")
    assert attempt.context is not None
    assert sent.split("-")[1:3] == [TRACE, f"{attempt.context.span_id:016x}"]
    assert header(server.requests[0], "tracestate") == ["vendor=1"]
    assert header(server.requests[0], "baggage") == ["a = b;c ,  d=%20"]  # as it came


@pytest.mark.parametrize(
    "fields",
    [
        [("traceparent", "broken")],
        [("traceparent", f"00-{'0' * 32}-{PARENT}-01")],
        [("traceparent", f"ff-{TRACE}-{PARENT}-01")],
        [("traceparent", f"00-{TRACE}-{PARENT}")],
        [SAMPLED, SAMPLED],
        [("traceparent", "\xe9")],
        [],
    ],
    ids=["nonsense", "zeros", "version", "short", "twice", "latin-1", "absent"],
)
async def test_a_broken_context_starts_a_new_trace(fields: list[tuple[str, str]]) -> None:
    async with FakeServer(json_reply(ANSWER)) as server, traced_proxy(server.url) as traced:
        async with await traced.proxy.connect() as client:
            await client.exchange(chat(*fields, ("tracestate", "vendor=1")))
        span, (attempt,) = await traced.only()
    assert span.parent is None
    assert header(server.requests[0], "tracestate") == []  # it belongs to the other trace
    assert attempt.context is not None
    (sent,) = header(server.requests[0], "traceparent")
    assert sent.startswith(f"00-{attempt.context.trace_id:032x}-{attempt.context.span_id:016x}-")


async def test_what_is_not_sampled_is_passed_on_as_that() -> None:
    async with FakeServer(json_reply(ANSWER)) as server, traced_proxy(server.url) as traced:
        async with await traced.proxy.connect() as client:
            await client.exchange(chat(UNSAMPLED, ("tracestate", "vendor=1")))
        assert await traced.spans() == []
        record = await traced.proxy.only_record()
    assert record.trace is None
    (sent,) = header(server.requests[0], "traceparent")
    version, trace, span, flags = sent.split("-")
    assert (version, trace, int(flags, 16) & 1) == ("00", TRACE, 0)
    assert span != PARENT
    assert header(server.requests[0], "tracestate") == ["vendor=1"]


@pytest.mark.parametrize("fields", [[], [SAMPLED]], ids=["alone", "in a trace"])
async def test_a_sampler_that_takes_nothing(fields: list[tuple[str, str]]) -> None:
    """What has no context gets none; a context that there is goes on, though not from here."""
    async with (
        FakeServer(json_reply(ANSWER)) as server,
        traced_proxy(server.url, sampler=ALWAYS_OFF, share=0.0) as traced,
    ):
        async with await traced.proxy.connect() as client:
            assert (await client.exchange(chat(*fields)))[0] == 200
        assert await traced.spans() == []
    sent = header(server.requests[0], "traceparent")
    assert len(sent) == len(fields)
    assert all(TRACE in each and int(each[-2:], 16) & 1 == 0 for each in sent)


async def test_a_share_of_the_traces_that_begin_here() -> None:
    """The sampler decides as was decided before: no trace that was drawn is lost."""
    share = 0.25
    sampler = ParentBasedTraceIdRatio(share)
    async with (
        FakeServer(json_reply(ANSWER)) as server,
        traced_proxy(server.url, sampler=sampler, share=share) as traced,
        await traced.proxy.connect() as client,
    ):
        for _ in range(200):
            await client.exchange(chat())
        spans = await traced.spans(200)
        sampled = [record for record in traced.proxy.records if record.trace is not None]
    assert 20 < len(sampled) < 85  # six standard deviations
    assert len(spans) == 2 * len(sampled)
    assert sum(bool(header(request, "traceparent")) for request in server.requests) == len(sampled)


@pytest.mark.parametrize("fields", [[], [UNSAMPLED], [SAMPLED]], ids=["none", "unsampled", "sampled"])
async def test_nothing_else_of_a_request_changes(fields: list[tuple[str, str]]) -> None:
    more = [("X-One", "1"), ("accept", "*/*"), ("X-One", "2"), ("cookie", "a=b"), ("authorization", "Bearer k")]
    target = "/v1/chat/completions?a=%7e&b=1%2F2"
    request = ask("POST", target, *more[:2], *fields, *more[2:], body=b'{"messages": [ ] }')
    async with (
        FakeServer(json_reply(ANSWER)) as server,
        traced_proxy(server.url) as traced,
        running_proxy(server.url) as plain,
        await traced.proxy.connect() as client,
        await plain.connect() as other,
    ):
        assert await client.exchange(request) == await other.exchange(request)
    first, second = server.requests
    assert first.line == second.line
    assert first.body == second.body
    assert [field for field in first.headers if field[0] != "traceparent"] == [
        field for field in second.headers if field[0] != "traceparent"
    ]


async def test_a_stream_shows_its_first_token() -> None:
    async with FakeServer(replay(golden("chat-stream"))) as server, traced_proxy(server.url) as traced:
        async with await traced.proxy.connect() as client:
            await client.exchange(chat(body={**ASKED, "stream": True}))
        span, _ = await traced.only()
        record = await traced.proxy.only_record()
    found = attributes(span)
    assert record.ttft_seconds is not None
    assert found["gen_ai.request.stream"] is True
    assert found["gen_ai.response.time_to_first_chunk"] == record.ttft_seconds
    assert found["gen_ai.usage.output_tokens"] == record.output_tokens
    assert found["gen_ai.response.id"]
    assert events(span) == [("llm.first_token", {})]
    assert span.events[0].timestamp == round((record.started_at + record.ttft_seconds) * 1e9)


async def test_a_fallback_has_a_span_for_each_attempt() -> None:
    async with (
        refusing() as gone,
        FakeServer(json_reply(ANSWER)) as good,
        traced_proxy(gone, good.url, tiers=("Q3", "Q4")) as traced,
    ):
        async with await traced.proxy.connect() as client:
            assert (await client.exchange(chat(("X-Routing-Tier", "Q3"))))[0] == 200
        span, attempts = await traced.only()
        record = await traced.proxy.only_record()
    assert [attributes(each)["llm.upstream"] for each in attempts] == ["u1", "u2"]
    failed, answered = map(attributes, attempts)
    assert failed["error.type"] == "ConnectError"
    assert attempts[0].status.status_code is StatusCode.ERROR
    assert (answered["http.response.status_code"], answered["http.request.resend_count"]) == (200, 1)
    found = attributes(span)
    assert (found["llm.upstream"], found["llm.attempts"], found["server.port"]) == ("u2", 2, good.port)
    assert (found["llm.routing.fallback"], found["llm.routing.wanted_tier"], found["llm.tier"]) == (True, "Q3", "Q4")
    about = {"error.type": "connect_error", "llm.upstream": "u1", "llm.fallback.upstream": "u2"}
    assert events(span) == [("llm.fallback", about)]
    at, ended = span.events[0].timestamp, record.attempts[0].ended_seconds
    assert ended is not None
    assert at == round((record.started_at + ended) * 1e9)
    assert span.status.status_code is StatusCode.UNSET


async def test_what_a_retired_connection_swallowed_is_no_fallback() -> None:
    script = [json_reply(ANSWER).then(next_byte, reset), json_reply(ANSWER)]
    async with FakeServer(script) as server, traced_proxy(server.url) as traced:
        async with await traced.proxy.connect() as client:
            await client.exchange(chat())
            await client.exchange(chat())
        spans = await traced.spans(2)
    second = spans[1]
    tries = [each for each in spans if each.name == "POST" and each.parent == second.context]
    assert [attributes(each).get("http.request.resend_count") for each in tries] == [None, 1]
    assert events(second) == []
    assert attributes(second)["llm.attempts"] == 2


REFUSED = json_reply({"error": {"code": 400, "message": "x", "type": "invalid_request_error"}}, 400)
STREAM_ERROR = sse_reply([b'data: {"error":{"type":"server_error","message":"x"}}\n\n'])
STREAM_HEAD = head(200, [("Content-Type", "text/event-stream"), ("Transfer-Encoding", "chunked")])
FAILURES = {
    "400": (REFUSED, "invalid_request_error", 400),
    "500": (json_reply({}, 500), "http_500", 500),
    "closed": (Answer(request_received, close), "disconnected", 502),
    "error in a stream": (STREAM_ERROR, "server_error", 200),
    "broken off": (Answer(STREAM_HEAD, chunk(b"data: {}\n\n"), reset), "disconnected", 200),
}


@pytest.mark.parametrize(("answer", "error_type", "status"), FAILURES.values(), ids=FAILURES)
async def test_failures(answer: Answer, error_type: str, status: int) -> None:
    async with (
        FakeServer(answer) as server,
        traced_proxy(server.url) as traced,
        await traced.proxy.connect() as client,
    ):
        await client.send(chat())
        await client.head()
        span, _ = await traced.only()
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, error_type)
    assert attributes(span)["error.type"] == error_type
    assert attributes(span)["http.response.status_code"] == status


async def test_silence_is_a_timeout() -> None:
    limits = Limits(idle_seconds=0.1)
    async with FakeServer(Answer(request_received, hang)) as server, traced_proxy(server.url, limits=limits) as traced:
        async with await traced.proxy.connect() as client:
            assert (await client.exchange(chat()))[0] == 504
        span, (attempt,) = await traced.only()
    assert (attributes(span)["error.type"], attributes(span)["llm.outcome"]) == ("timeout", "timeout")
    assert attempt.status.status_code is StatusCode.ERROR


async def test_a_client_that_leaves_has_not_been_failed() -> None:
    async with FakeServer(Answer(request_received, hang)) as server, traced_proxy(server.url) as traced:
        async with await traced.proxy.connect() as client:
            await client.send(chat())
            await server.until(lambda: len(server.requests) == 1 and server.requests[0].complete)
            client.abort()
        span, attempts = await traced.only()
    assert span.status.status_code is StatusCode.UNSET
    assert attributes(span)["llm.outcome"] == attributes(span)["error.type"] == "client_gone"
    assert len(attempts) == 1  # it ends with the request
    assert attempts[0].end_time is not None


async def test_refusals_of_our_own_are_traced_too() -> None:
    async with FakeServer(json_reply(ANSWER)) as server, traced_proxy(server.url, keys=["secret"]) as traced:
        async with await traced.proxy.connect() as client:
            assert (await client.exchange(chat(SAMPLED)))[0] == 401
        span, attempts = await traced.only()
    assert attempts == []
    assert span.name == "chat"  # the body was never read
    assert span.parent is not None
    assert span.parent.span_id == int(PARENT, 16)
    assert attributes(span)["error.type"] == "authentication_error"
    assert "server.address" not in attributes(span)


@pytest.mark.parametrize("fields", [[], [SAMPLED]], ids=["alone", "in a trace"])
async def test_what_runs_no_model_is_followed_where_its_client_is(fields: list[tuple[str, str]]) -> None:
    async with FakeServer(json_reply({"status": "ok"})) as server, traced_proxy(server.url) as traced:
        async with await traced.proxy.connect() as client:
            await client.exchange(ask("GET", "/health", *fields))
        spans = await traced.spans()
    assert [span.name for span in spans] == (["health", "GET"] if fields else [])
    assert bool(header(server.requests[0], "traceparent")) is bool(fields)


async def test_requests_that_name_no_model_are_called_by_the_one_that_answers() -> None:
    async with FakeServer(json_reply(ANSWER)) as server, traced_proxy(server.url) as traced:
        async with await traced.proxy.connect() as client:
            await client.exchange(chat(body={"messages": []}))
        span, _ = await traced.only()
    assert span.name == "chat answered"
    assert attributes(span)["gen_ai.request.model"] == "answered"


async def test_texts_that_are_no_unicode_do_no_harm() -> None:
    body = b'{"model": "a\\ud800b", "stop": "\\udfff", "messages": []}'
    async with FakeServer(json_reply(ANSWER)) as server, traced_proxy(server.url) as traced:
        async with await traced.proxy.connect() as client:
            await client.exchange(ask("POST", PATH, body=body))
        span, _ = await traced.only()
    assert attributes(span)["gen_ai.request.model"].encode()
    assert attributes(span)["gen_ai.request.stop_sequences"][0].encode()
    assert span.name.encode()


async def test_prompts_and_answers_stay_where_they_are_unless_they_are_asked_for() -> None:
    for capture in (False, True):
        async with (
            FakeServer(json_reply(ANSWER)) as server,
            traced_proxy(server.url, capture_content=capture) as traced,
        ):
            async with await traced.proxy.connect() as client:
                await client.exchange(chat())
            span, attempts = await traced.only()
        found = attributes(span)
        said = json.dumps([span.to_json(), *(each.to_json() for each in attempts)])
        assert ("hello" in said) is capture
        assert ("gen_ai.output.messages" in found) is ("gen_ai.input.messages" in found) is capture
        if capture:
            assert json.loads(found["gen_ai.input.messages"])[0]["parts"] == [{"type": "text", "content": "hello"}]
            assert json.loads(found["gen_ai.output.messages"])[0]["parts"] == [{"type": "text", "content": "Hi"}]


async def test_many_at_once_keep_apart() -> None:
    async with FakeServer(json_reply(ANSWER)) as server, traced_proxy(server.url) as traced:

        async def one(number: int) -> None:
            async with await traced.proxy.connect() as client:
                await client.exchange(chat(("traceparent", f"00-{number:032x}-{number:016x}-01")))

        await asyncio.gather(*(one(number) for number in range(1, 33)))
        spans = await traced.spans(32)
    own = [span for span in spans if span.name != "POST"]
    assert sorted(span.context.trace_id for span in own if span.context) == list(range(1, 33))
    traces = {span.context.span_id: span.context.trace_id for span in own if span.context}
    for child in (span for span in spans if span.name == "POST"):
        assert child.parent is not None
        assert child.context is not None
        assert traces[child.parent.span_id] == child.context.trace_id

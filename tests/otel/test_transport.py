"""What tracing does to requests on their way to upstreams: it sets the context of their trace, and changes nothing
else; and what the spans of attempts show of them."""

from __future__ import annotations

import pytest

from exporter import config
from exporter.otel import transport
from tests.fakes.answers import json_reply
from tests.fakes.llama_server import FakeServer
from tests.otel.exports import environment
from tests.otel.tracer import attributes, traced_proxy
from tests.proxy.harness import ask, running_proxy

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SAMPLED = ("traceparent", f"00-{TRACE}-00f067aa0ba902b7-01")
CHAT = "/v1/chat/completions"
REPLY = json_reply({"status": "ok"})


@pytest.mark.parametrize(
    "line",
    [
        "GET /health#part",
        "GET /v1/models?a=%zz#[",
        "OPTIONS *",
        "GET http://elsewhere.invalid/health",
        "GET //elsewhere.invalid/health",
        "GET /%zz[",
    ],
    ids=["fragment", "query", "asterisk", "absolute", "two slashes", "no URL"],
)
async def test_whatever_target_passes_passes_with_a_trace_too(line: str) -> None:
    method, target = line.split(" ")
    request = ask(method, target, SAMPLED)
    async with (
        FakeServer(REPLY) as server,
        traced_proxy(server.url) as traced,
        running_proxy(server.url) as plain,
        await traced.proxy.connect() as client,
        await plain.connect() as other,
    ):
        expected = await other.exchange(request)
        assert expected[0] == 200
        assert await client.exchange(request) == expected
        spans = await traced.spans()
    first, second = server.requests
    assert first.line == second.line
    (attempt,) = [span for span in spans if "url.full" in attributes(span)]
    assert attributes(attempt)["url.full"].startswith(server.url)
    assert attempt.context is not None
    assert f"{attempt.context.span_id:016x}" in dict(second.headers)["traceparent"]


@pytest.mark.parametrize("variable", ["OTEL_PYTHON_HTTPX_EXCLUDED_URLS", "OTEL_PYTHON_EXCLUDED_URLS"])
async def test_a_trace_goes_on_though_attempts_have_no_spans(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, "health,/v1/.*")
    async with FakeServer(REPLY) as server, traced_proxy(server.url) as traced:
        async with await traced.proxy.connect() as client:
            await client.exchange(ask("POST", CHAT, SAMPLED, ("tracestate", "vendor=1"), body=b"{}"))
        span, attempts = await traced.only()
    assert attempts == []
    assert span.context is not None
    sent = dict(server.requests[0].headers)
    assert sent["traceparent"][:-2] == f"00-{TRACE}-{span.context.span_id:016x}-"
    assert int(sent["traceparent"][-2:], 16) & 1
    assert sent["tracestate"] == "vendor=1"


SHOWN = {
    "OTEL_TRACES_EXPORTER": "otlp",
    "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_CLIENT_REQUEST": ".*",
    "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_CLIENT_RESPONSE": ".*",
    "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SANITIZE_FIELDS": "x-own",
}


async def test_whoever_has_all_header_fields_shown_is_shown_no_secrets() -> None:
    secret = "s3cret"
    fields = [("Cookie", secret), ("Api-Key", secret), ("X-Own", secret), ("X-Plain", "shown")]
    reply = json_reply({}, headers=[("Set-Cookie", secret), ("X-Answer", "shown")])
    with environment(**SHOWN):
        config.load_otel()
        async with FakeServer(reply) as server, traced_proxy(server.url, upstream_api_key=secret) as traced:
            async with await traced.proxy.connect() as client:
                await client.exchange(ask("POST", CHAT, *fields, body=b"{}"))
            span, (attempt,) = await traced.only()
    assert ("authorization", f"Bearer {secret}") in [
        (name.lower(), value) for name, value in server.requests[0].headers
    ]
    found = attributes(attempt)
    assert {name: found[f"http.request.header.{name}"] for name in ("authorization", "cookie", "api_key", "x_own")} == (
        dict.fromkeys(("authorization", "cookie", "api_key", "x_own"), ("[REDACTED]",))
    )
    assert found["http.request.header.x_plain"] == found["http.response.header.x_answer"] == ("shown",)
    assert found["http.response.header.set_cookie"] == ("[REDACTED]",)
    assert secret not in span.to_json() + attempt.to_json()


async def test_what_cannot_be_traced_is_sent_all_the_same(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def break_down(*_: object) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(transport, "_describe", break_down)
    async with FakeServer(REPLY) as server, traced_proxy(server.url) as traced:
        async with await traced.proxy.connect() as client:
            for _ in range(2):
                assert (await client.exchange(ask("POST", CHAT, SAMPLED, body=b"{}")))[0] == 200
        await traced.spans(2)
        records = traced.proxy.records
    assert len(server.requests) == 2
    assert all(dict(each.headers)["traceparent"].startswith(f"00-{TRACE}-") for each in server.requests)
    assert [len(record.attempts) for record in records] == [1, 1]
    assert [entry.message for entry in caplog.records if entry.name == "exporter.otel.transport"] == [
        "an attempt could not be traced; it is made all the same, and so are later ones"
    ]

"""Tracing that fails, and contexts that others write: requests are served all the same, and the log stays quiet."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from opentelemetry import propagate, trace
from opentelemetry.context import Context
from opentelemetry.propagators.textmap import (
    CarrierT,
    Getter,
    Setter,
    TextMapPropagator,
    default_getter,
    default_setter,
)

from exporter.otel import spans, tracing
from exporter.otel.reasons import quiet_libraries
from tests.fakes.answers import json_reply
from tests.fakes.llama_server import FakeServer
from tests.otel.exports import logged, loud_again
from tests.otel.tracer import attributes, traced_proxy
from tests.proxy.harness import ask

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SAMPLED = ("traceparent", f"00-{TRACE}-{PARENT}-01")
BODY = json.dumps({"model": "m", "messages": []}).encode()
ANSWER = json_reply({"model": "answered"})


def chat(*fields: tuple[str, str]) -> bytes:
    return ask("POST", "/v1/chat/completions", *fields, body=BODY)


@pytest.mark.parametrize("fields", [[], [SAMPLED]], ids=["alone", "in a trace"])
async def test_a_request_that_cannot_be_traced_is_served(
    fields: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[Any] = []

    def fail(*arguments: Any) -> Any:
        calls.append(arguments)
        raise RuntimeError("broken")

    async with FakeServer(ANSWER) as server, traced_proxy(server.url) as traced:
        async with await traced.proxy.connect() as client:
            with monkeypatch.context() as patch, logged() as lines:
                patch.setattr(spans, "first_attributes", fail)
                for _ in range(3):
                    assert (await client.exchange(chat(*fields)))[0] == 200
                assert await traced.spans(3) == []
            assert (await client.exchange(chat(*fields)))[0] == 200
        found = await traced.spans(4)
    assert len(calls) == 3  # Nobody tries it a second time when the request is over.
    (line,) = lines
    assert line.getMessage().startswith("a request could not be traced")
    assert line.exc_info is not None
    assert [record.trace is None for record in traced.proxy.records] == [True, True, True, False]
    assert [span.name for span in found] == ["chat m", "POST"]
    passed = [SAMPLED in [(name.lower(), value) for name, value in request.headers] for request in server.requests]
    assert passed == [bool(fields)] * 3 + [False]  # What came goes on, where nothing is put in its place.


async def test_a_span_that_cannot_be_described_at_first_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """What fails is what is said of it; the upstream gets its context, and it is ended."""
    monkeypatch.setattr(spans, "asked_attributes", lambda _: 1 / 0)
    async with FakeServer(ANSWER) as server, traced_proxy(server.url) as traced:
        with logged(logging.WARNING) as lines:
            async with await traced.proxy.connect() as client:
                assert (await client.exchange(chat(SAMPLED)))[0] == 200
        span, (attempt,) = await traced.only()
    assert len(lines) == 1
    assert attributes(span)["llm.outcome"] == "completed"
    assert attempt.context is not None
    assert f"{attempt.context.span_id:016x}" in dict(server.requests[0].headers)["traceparent"]


async def test_a_span_whose_description_fails_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Any) -> Any:
        raise RuntimeError("broken")

    monkeypatch.setattr(spans, "events_of", fail)
    async with FakeServer(ANSWER) as server, traced_proxy(server.url) as traced:
        async with await traced.proxy.connect() as client:
            await client.exchange(chat())
        record = await traced.proxy.only_record()
        with pytest.raises(RuntimeError, match="broken"):  # for the fan-out, which counts it
            tracing.end_span(record)
        span, _ = traced.finished()
    assert span.end_time == round((record.started_at + record.duration_seconds) * 1e9)
    assert attributes(span)["llm.request_id"] == record.request_id


FIELD = "X-Test-Trace"


class Loud(TextMapPropagator):
    """Writes the name of its field in upper case, as some do."""

    def extract(
        self, carrier: CarrierT, context: Context | None = None, getter: Getter[CarrierT] = default_getter
    ) -> Context:
        about = trace.INVALID_SPAN_CONTEXT
        for value in getter.get(carrier, FIELD) or []:
            trace_id, span_id = (int(part, 16) for part in value.split(":"))
            about = trace.SpanContext(trace_id, span_id, is_remote=True, trace_flags=trace.TraceFlags(1))
        return trace.set_span_in_context(trace.NonRecordingSpan(about), context)

    def inject(
        self, carrier: CarrierT, context: Context | None = None, setter: Setter[CarrierT] = default_setter
    ) -> None:
        about = trace.get_current_span(context).get_span_context()
        setter.set(carrier, FIELD, f"{about.trace_id:032x}:{about.span_id:016x}")

    @property
    def fields(self) -> set[str]:
        return {FIELD}


@pytest.mark.parametrize("written", [FIELD, FIELD.lower()])
async def test_a_propagator_that_writes_upper_case(written: str, request: pytest.FixtureRequest) -> None:
    global_one = propagate.get_global_textmap()
    propagate.set_global_textmap(Loud())
    request.addfinalizer(lambda: propagate.set_global_textmap(global_one))
    async with FakeServer(ANSWER) as server, traced_proxy(server.url) as traced:
        async with await traced.proxy.connect() as client:
            await client.exchange(chat((written, f"{TRACE}:{PARENT}")))
        span, (attempt,) = await traced.only()
    assert span.parent is not None
    assert (span.parent.trace_id, span.parent.span_id) == (int(TRACE, 16), int(PARENT, 16))
    assert attempt.context is not None
    sent = [value for name, value in server.requests[0].headers if name.lower() == FIELD.lower()]
    assert sent == [f"{TRACE}:{attempt.context.span_id:016x}"]


@pytest.mark.parametrize(
    "fields",
    [
        [SAMPLED, ("tracestate", "no such thing")],
        [SAMPLED, ("tracestate", "a=1,a=2,=,\xe9=1")],
        [SAMPLED, ("tracestate", ",".join(f"k{number}=v" for number in range(40)))],
        [("traceparent", "broken"), ("tracestate", "broken")],
    ],
    ids=["no pair", "odd pairs", "too many", "broken"],
)
async def test_what_clients_make_of_their_context_is_not_logged(fields: list[tuple[str, str]]) -> None:
    with loud_again(), logged(logging.WARNING) as lines:
        quiet_libraries()
        async with FakeServer(ANSWER) as server, traced_proxy(server.url) as traced:
            async with await traced.proxy.connect() as client:
                assert (await client.exchange(chat(*fields)))[0] == 200
            assert len(await traced.spans()) == 2
    assert lines == []

"""Traces of requests that fail, that are left by their clients, and that another llama-server answers in the end."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any
from urllib.parse import urlsplit

import pytest

from exporter.demo.engine import Engine
from tests.end_to_end.dialects import KINDS, MODEL
from tests.end_to_end.fake import STREAM_HEAD, WELL, Gate, content_frame, frame
from tests.end_to_end.sidecar import Sidecar
from tests.end_to_end.traced import (
    CHAT,
    EARLY_NS,
    HELLO,
    LATE_NS,
    PATIENCE_SECONDS,
    TRACES_ONLY,
    Context,
    Seen,
    Stand,
    Tree,
    ask,
    new_context,
    only,
    standing,
    tree_of,
)
from tests.fakes.answers import Answer, close, json_reply, next_byte, request_received, reset, sse_reply
from tests.fakes.wire import chunk
from tests.otlp.arrived import Event, Span
from tests.otlp.receiver import GRPC, HTTP, Receiver

KEY = "a-key-of-the-proxy"
UNWELL = {"error": {"code": 502, "message": "no", "type": "bad_gateway"}}
BEGINNING = request_received, STREAM_HEAD, chunk(content_frame("well"))


@pytest.fixture(scope="module", params=[HTTP, GRPC])
def stand(request: pytest.FixtureRequest, start_engine: Callable[..., Engine]) -> Iterator[Stand]:
    with standing(request.param, start_engine(embedding=True, alias=MODEL)) as stand:
        yield stand


def check_request(span: Span, outcome: str, error: str | None, code: int | None, **others: Any) -> None:
    """How it ended; `_` in names of attributes stands for `.`. A client that leaves has not been failed."""
    expected = {
        "llm.outcome": outcome,
        "error.type": error,
        "http.response.status_code": code,
        **{f"llm.{name}": value for name, value in others.items()},
    }
    assert only(span.attributes, *expected) == expected
    assert (span.name.partition(" ")[0], span.kind) == ("chat", "client")
    assert span.status == ("unset" if outcome in ("completed", "client_gone") else "error")


def check_tree(tree: Tree) -> None:
    """Attempts are one after the other, within their request, and there are as many as it says."""
    request, attempts = tree
    assert {span.trace_id for span in attempts} <= {request.trace_id}
    assert request.attributes.get("llm.attempts", 0) == len(attempts)
    times = [request.start_ns, *(time for span in attempts for time in (span.start_ns, span.end_ns)), request.end_ns]
    assert all(first <= then + EARLY_NS for first, then in pairwise(times))
    resent = [span.attributes.get("http.request.resend_count") for span in attempts]
    assert resent == [None, *range(1, len(attempts))][: len(attempts)]


def names(events: tuple[Event, ...]) -> list[str]:
    return [event.name for event in events]


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
def test_a_request_that_llama_server_refuses(stand: Stand, stream: bool) -> None:
    seen = stand.ask(CHAT, {"model": MODEL, "max_tokens": 3, "stream": stream})
    assert seen.status == 400
    tree = tree_of(stand.receiver, seen)
    check_tree(tree)
    error = seen.document["error"]["type"]
    check_request(tree.request, "upstream_error", error, seen.status, upstream="Q4", attempts=1)
    check_attempt(tree.attempts[0], seen.status)
    assert "gen_ai.usage.output_tokens" not in tree.request.attributes
    assert tree.request.events == ()


def check_attempt(attempt: Span, status: int) -> None:
    expected = {"http.response.status_code": status, "error.type": str(status)}
    assert (attempt.status, only(attempt.attributes, *expected)) == ("error", expected)


def test_a_body_that_is_no_json(stand: Stand) -> None:
    seen = stand.ask(CHAT, b"{")
    assert seen.status == 400
    tree = tree_of(stand.receiver, seen)
    check_tree(tree)
    check_request(tree.request, "upstream_error", seen.document["error"]["type"], 400)


def test_an_error_within_a_stream(stand: Stand) -> None:
    error = frame({"error": {"code": 500, "message": "broke", "type": "server_error"}})
    stand.fake.answers = [sse_reply([content_frame("well"), error])]
    tree = tree_of(stand.receiver, stand.ask_fake())
    check_tree(tree)
    check_request(tree.request, "stream_error", "server_error", 200, upstream="Q3", attempts=1)
    assert names(tree.request.events)[:1] == ["llm.first_token"]
    (attempt,) = tree.attempts
    assert (attempt.status, attempt.attributes["http.response.status_code"]) == ("unset", 200)


def test_a_stream_that_is_broken_off(stand: Stand) -> None:
    stand.fake.answers = [Answer(*BEGINNING, reset)]
    seen = stand.ask_fake()
    assert seen.broken
    tree = tree_of(stand.receiver, seen)
    check_tree(tree)
    check_request(tree.request, "upstream_error", "disconnected", 200, upstream="Q3", attempts=1)
    assert tree.attempts[0].attributes["http.response.status_code"] == 200


def test_an_upstream_that_fails_and_nobody_else_is_asked(stand: Stand) -> None:
    stand.fake.answers = [json_reply({"error": {"code": 500, "message": "no", "type": "server_error"}}, 500)]
    tree = tree_of(stand.receiver, stand.ask_fake())
    check_tree(tree)
    check_request(tree.request, "upstream_error", "server_error", 500, upstream="Q3", attempts=1)
    check_attempt(tree.attempts[0], 500)


def test_a_client_that_leaves_a_stream(stand: Stand) -> None:
    gate = Gate()
    stand.fake.answers = [Answer(*BEGINNING, gate)]
    seen = stand.ask_fake(leave=lambda seen: seen.first_ns is not None)
    tree = tree_of(stand.receiver, seen)
    gate.open()
    check_tree(tree)
    check_request(tree.request, "client_gone", "client_gone", 200, upstream="Q3", attempts=1)
    assert names(tree.request.events) == ["llm.first_token"]
    assert seen.first_ns is not None
    assert seen.first_ns - EARLY_NS <= tree.request.end_ns <= seen.ended_ns + LATE_NS
    assert tree.attempts[0].status == "unset"


def leave_before_the_answer(stand: Stand, gate: Gate) -> Seen:
    """What a client saw that left when llama-server had its request."""
    place = urlsplit(stand.sidecar.proxy)
    seen = Seen(new_context(), 0)
    assert seen.context is not None
    body = json.dumps({"model": "auto", "messages": HELLO}).encode()
    fields = f"Host: x\r\nX-Routing-Tier: Q3\r\ntraceparent: {seen.context.traceparent}\r\nContent-Length: {len(body)}"
    with socket.create_connection((place.hostname, place.port)) as client:
        client.sendall(f"POST {CHAT} HTTP/1.1\r\n{fields}\r\n\r\n".encode() + body)
        assert gate.reached.wait(PATIENCE_SECONDS)
    return seen


def test_a_client_that_leaves_before_an_answer(stand: Stand) -> None:
    gate = Gate()
    stand.fake.answers = [Answer(request_received, gate)]
    tree = tree_of(stand.receiver, leave_before_the_answer(stand, gate))
    gate.open()
    check_tree(tree)
    check_request(tree.request, "client_gone", "client_gone", None, upstream="Q3", attempts=1)
    assert tree.request.events == ()
    assert "http.response.status_code" not in tree.attempts[0].attributes


@pytest.mark.parametrize(
    ("answer", "code"),
    [(json_reply(UNWELL, 502), 502), (Answer(request_received, close), None)],
    ids=["502", "closed"],
)
@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
def test_another_upstream_answers(stand: Stand, answer: Answer, code: int | None, stream: bool) -> None:
    stand.fake.answers = [answer]
    seen = stand.ask_fake({**KINDS["chat"].body, "model": "auto", "stream": stream})
    assert seen.status == 200
    tree = tree_of(stand.receiver, seen)
    check_tree(tree)
    check_fallback(tree, code)
    assert names(tree.request.events) == ["llm.fallback", "llm.first_token"][: 1 + stream]


def check_fallback(tree: Tree, code: int | None) -> None:
    """From Q3 to Q4; the engine closes connections without a word, and what was sent into one that was closed is sent
    again."""
    request, (failed, *_, answered) = tree
    check_request(request, "completed", None, 200, upstream="Q4", tier="Q4", attempts=len(tree.attempts))
    routed = {"llm.routing.fallback": True, "llm.routing.wanted_tier": "Q3"}
    assert only(request.attributes, *routed) == routed
    assert (failed.status, answered.status) == ("error", "unset")
    expected = {"llm.upstream": "Q3", "http.response.status_code": code}
    assert only(failed.attributes, *expected) == expected
    assert failed.attributes["error.type"] == str(code or failed.attributes["error.type"])
    expected = {"llm.upstream": "Q4", "error.type": None, "http.response.status_code": 200}
    assert only(answered.attributes, *expected) == expected
    assert request.attributes["server.port"] == answered.attributes["server.port"]
    event = request.events[0]
    assert only(event.attributes, "llm.upstream", "llm.fallback.upstream") == {
        "llm.upstream": "Q3",
        "llm.fallback.upstream": "Q4",
    }
    assert event.attributes["error.type"]
    assert failed.end_ns - EARLY_NS <= event.time_ns <= answered.start_ns + EARLY_NS


def test_a_connection_that_was_closed_meanwhile(stand: Stand) -> None:
    """The same upstream is asked again, which is no fallback."""
    stand.fake.answers = [WELL.then(next_byte, reset), WELL]
    assert stand.ask_fake().status == 200
    seen = stand.ask_fake()
    assert seen.status == 200
    tree = tree_of(stand.receiver, seen)
    check_tree(tree)
    check_request(tree.request, "completed", None, 200, upstream="Q3", attempts=2)
    assert [span.attributes["llm.upstream"] for span in tree.attempts] == ["Q3", "Q3"]
    assert [span.status for span in tree.attempts] == ["error", "unset"]
    assert names(tree.request.events) == ["llm.first_token"]


def test_an_upstream_that_falls_silent_and_goes_down(start_engine: Callable[..., Engine]) -> None:
    """Who waits for it in vain is told so. The first request after it is gone finds that out; the next ones know it."""
    seldom = {
        "LLAMA_EXPORTER_ROUTING__HEALTH_INTERVAL_SECONDS": "60",
        "LLAMA_EXPORTER_SAMPLING__INTERVAL_SECONDS": "60",
    }
    with standing(HTTP, start_engine(embedding=True, alias=MODEL), **seldom) as stand:
        stand.fake.stop_listening()
        body = {**KINDS["chat"].body, "model": "auto"}
        tree = tree_of(stand.receiver, stand.ask_fake(body))
        check_tree(tree)
        check_fallback(tree, None)
        assert tree.attempts[0].attributes["error.type"] == "ConnectError"
        again = tree_of(stand.receiver, stand.ask_fake(body))
    check_tree(again)
    check_request(again.request, "completed", None, 200, upstream="Q4", tier="Q4", attempts=1)
    assert again.request.attributes["llm.routing.fallback"] is True
    (event,) = again.request.events
    assert (event.name, event.attributes) == ("llm.fallback", {"llm.routing.wanted_tier": "Q3", "llm.tier": "Q4"})


def check_silence(stand: Stand) -> None:
    gate = Gate()
    stand.fake.answers = [Answer(request_received, gate)]
    seen = stand.ask_fake()
    gate.open()
    tree = tree_of(stand.receiver, seen)
    check_tree(tree)
    check_request(tree.request, "timeout", "timeout", 504, upstream="Q3", attempts=1)
    assert tree.attempts[0].status == "error"
    assert tree.request.seconds == pytest.approx(seen.seconds, abs=LATE_NS / 1e9)


@pytest.fixture(scope="module")
def down(find_port: Callable[[], int]) -> Iterator[tuple[Receiver, Sidecar]]:
    """A sidecar with a single upstream, which is not there, and with a key for its clients."""
    with Receiver(GRPC) as receiver:
        environment = {**receiver.environment, **TRACES_ONLY, "LLAMA_EXPORTER_AUTH__PROXY_API_KEYS": KEY}
        with Sidecar("--upstream", f"q=http://127.0.0.1:{find_port()}", environment=environment) as sidecar:
            yield receiver, sidecar


def ask_down(down: tuple[Receiver, Sidecar], key: str) -> tuple[Seen, Tree]:
    receiver, sidecar = down
    body = {"model": MODEL, "messages": HELLO, "stream": True}
    seen = ask(sidecar.proxy, CHAT, body, context=new_context(), authorization=f"Bearer {key}")
    return seen, tree_of(receiver, seen)


def test_an_upstream_that_is_not_there(down: tuple[Receiver, Sidecar]) -> None:
    seen, tree = ask_down(down, KEY)
    check_tree(tree)
    check_request(tree.request, "upstream_error", "connect_error", seen.status, attempts=1, tier="q")
    assert seen.status >= 502
    (attempt,) = tree.attempts
    assert (attempt.status, attempt.attributes["error.type"]) == ("error", "ConnectError")
    assert "llm.routing.reason" not in tree.request.attributes
    assert tree.request.name == f"chat {MODEL}"


def test_a_client_that_has_no_key(down: tuple[Receiver, Sidecar]) -> None:
    seen, tree = ask_down(down, "another")
    assert seen.status == 401
    check_tree(tree)
    check_request(tree.request, "rejected", tree.request.attributes["error.type"], 401, upstream=None)
    assert tree.attempts == []
    assert Context(tree.request.trace_id, tree.request.parent_id) == seen.context

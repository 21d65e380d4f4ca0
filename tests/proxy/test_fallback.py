"""An upstream that cannot answer: another one is asked, as long as the request may be given to it."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager

import pytest

from exporter.proxy.forward import Limits
from exporter.record import AttemptResult, Outcome, RequestRecord, RoutingReason
from exporter.settings.routing import RoutingSettings
from tests.fakes.answers import (
    Answer,
    close,
    hang,
    json_reply,
    next_byte,
    replay,
    reply,
    request_received,
    reset,
    sse_reply,
)
from tests.fakes.captures import golden
from tests.fakes.llama_server import FakeServer
from tests.fakes.wire import chunk, early_hints, head, last_chunk
from tests.proxy.harness import Proxy, ask, running_proxy
from tests.proxy.unreachable import full_listener, refusing, unused_port

Start = Callable[[], AbstractAsyncContextManager[str]]
Tried = list[tuple[str, AttemptResult, int | None]]

ANSWERED, UNAVAILABLE = AttemptResult.ANSWERED, AttemptResult.UNAVAILABLE
DISCONNECTED, CONNECT_ERROR = AttemptResult.DISCONNECTED, AttemptResult.CONNECT_ERROR
TIERS = ("Q3", "Q4")
Q3 = ("X-Routing-Tier", "Q3")
BODY = b'{"messages": [ {"role":"user","content":"Hi \\u20ac"} ]}'
CHAT = ask("POST", "/v1/chat/completions", Q3, body=BODY)
STREAM = ask("POST", "/v1/chat/completions", Q3, body=b'{"stream":true,"messages":[]}')
OK = json_reply({"ok": True}, headers=[("X-Served-By", "second")])
FRAMES = [b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n', b"data: [DONE]\n\n"]
CLOSES = Answer(request_received, close)


def busy(status: int = 503) -> Answer:
    return json_reply({"error": {"code": status, "message": "Loading model", "type": "unavailable_error"}}, status)


def scripted(answer: Answer) -> Start:
    """A server that gives always the same answer; its URL."""

    @contextlib.asynccontextmanager
    async def start() -> AsyncIterator[str]:
        async with FakeServer(answer) as server:
            yield server.url

    return start


def tried(record: RequestRecord) -> Tried:
    return [(attempt.upstream, attempt.result, attempt.status_code) for attempt in record.attempts]


FAILING: dict[str, tuple[Start, AttemptResult, int | None]] = {
    "refused": (refusing, CONNECT_ERROR, None),
    "connecting takes too long": (full_listener, AttemptResult.CONNECT_TIMEOUT, None),
    "closed": (scripted(CLOSES), DISCONNECTED, None),
    "reset": (scripted(Answer(request_received, reset)), DISCONNECTED, None),
    "closed within the head": (scripted(Answer(request_received, b"HTTP/1.1 200 OK\r\nX-", close)), DISCONNECTED, None),
    "closed after hints": (scripted(Answer(request_received, early_hints("<x>"), close)), DISCONNECTED, None),
    "garbage": (scripted(Answer(request_received, b"SSH-2.0-x\r\n", hang)), AttemptResult.PROTOCOL_ERROR, None),
    "502": (scripted(busy(502)), UNAVAILABLE, 502),
    "503": (scripted(busy(503)), UNAVAILABLE, 503),
    "504": (scripted(busy(504)), UNAVAILABLE, 504),
    "503, its body never ends": (
        scripted(Answer(request_received, head(503, [("Content-Length", "9")]), b"busy", hang)),
        UNAVAILABLE,
        503,
    ),
}


@pytest.mark.parametrize("request_bytes", [CHAT, STREAM], ids=["whole", "stream"])
@pytest.mark.parametrize("name", FAILING)
async def test_the_next_one_answers(name: str, request_bytes: bytes) -> None:
    """The client sees what it would see if it were the only one, and its connection lives on."""
    start, result, status = FAILING[name]
    answer = OK if request_bytes is CHAT else sse_reply(FRAMES)
    limits = Limits(connect_seconds=0.5)
    async with (
        start() as failing,
        FakeServer(answer) as good,
        running_proxy(failing, good.url, tiers=TIERS, limits=limits) as proxy,
        await proxy.connect() as client,
        running_proxy(good.url) as alone,
        await alone.connect() as other,
    ):
        received = await client.exchange(request_bytes)
        assert received == await other.exchange(request_bytes)
        assert received[0] == 200
        assert good.requests[0].head == good.requests[1].head
        assert good.requests[0].body == good.requests[1].body
        record = await proxy.only_record()
        assert tried(record) == [("u1", result, status), ("u2", ANSWERED, 200)]
        assert all(attempt.seconds >= 0 for attempt in record.attempts)
        assert (record.outcome, record.status_code, record.error_type) == (Outcome.COMPLETED, 200, None)
        assert (record.upstream, record.tier) == ("u2", "Q4")
        assert record.decision is not None
        assert (record.decision.wanted_tier, record.decision.fallback) == ("Q3", True)
        assert record.decision.reason is RoutingReason.TIER
        assert (await client.exchange(request_bytes))[0] == 200


async def test_waiting_for_an_upstream_is_no_overhead_of_ours() -> None:
    limits = Limits(connect_seconds=0.15)
    async with (
        full_listener() as failing,
        FakeServer(OK) as good,
        running_proxy(failing, good.url, tiers=TIERS, limits=limits) as proxy,
        await proxy.connect() as client,
    ):
        await client.exchange(CHAT)
        record = await proxy.only_record()
        assert record.attempts[0].seconds >= 0.15
        assert record.attempts[1].seconds < 0.15 <= record.duration_seconds
        assert record.overhead_seconds is not None
        assert 0 < record.overhead_seconds < 0.1


async def test_an_answer_that_is_not_used_costs_its_connection() -> None:
    """Its body may be endless."""
    endless = Answer(request_received, head(503, [("Transfer-Encoding", "chunked")]), chunk(b"busy"), hang)
    async with (
        FakeServer(endless) as failing,
        FakeServer(OK) as good,
        running_proxy(failing.url, good.url, tiers=TIERS) as proxy,
        await proxy.connect() as client,
    ):
        assert (await client.exchange(CHAT))[0] == 200
        await failing.until(lambda: failing.live == 0)
        assert proxy.transport.open_connections == 1


@pytest.mark.parametrize("status", [502, 503, 504])
async def test_the_last_ones_word_is_passed_on(status: int) -> None:
    fields = [("Content-Type", "text/plain"), ("Retry-After", "7"), ("X-A", "1"), ("X-A", "2")]
    async with (
        FakeServer(busy()) as first,
        FakeServer(reply(status, fields, b"the last \xff word")) as last,
        running_proxy(first.url, last.url, tiers=TIERS) as proxy,
        await proxy.connect() as client,
    ):
        received, headers, body = await client.exchange(CHAT)
        assert (received, body) == (status, b"the last \xff word")
        sent = [(name.lower().encode(), value.encode()) for name, value in [*fields, ("Content-Length", "15")]]
        assert headers == sent
        record = await proxy.only_record()
        assert tried(record) == [("u1", UNAVAILABLE, 503), ("u2", ANSWERED, status)]
        assert (record.outcome, record.status_code) == (Outcome.UPSTREAM_ERROR, status)
        assert (record.upstream, record.response_bytes) == ("u2", 15)


@pytest.mark.parametrize("status", [400, 401, 404, 408, 409, 413, 422, 429, 500, 501, 505])
async def test_any_other_answer_counts(status: int) -> None:
    async with (
        FakeServer(reply(status, [("X-A", "1")], b"no")) as first,
        FakeServer(OK) as second,
        running_proxy(first.url, second.url, tiers=TIERS) as proxy,
        await proxy.connect() as client,
    ):
        received, fields, body = await client.exchange(CHAT)
        assert (received, body) == (status, b"no")
        assert (b"x-a", b"1") in fields
        assert second.requests == []
        record = await proxy.only_record()
        assert tried(record) == [("u1", ANSWERED, status)]
        assert record.decision is not None
        assert not record.decision.fallback
        await client.exchange(CHAT)
        assert second.requests == []


CHUNKED = head(200, [("Transfer-Encoding", "chunked")])
BEGUN = {
    "the head alone": Answer(request_received, head(200, [("Content-Length", "9")]), close),
    "the head alone, in chunks": Answer(request_received, CHUNKED, close),
    "some of it": Answer(request_received, CHUNKED + chunk(b"half"), close),
    "some of a captured stream": Answer(request_received, *replay(golden("chat-stream")).steps[1:4], reset),
}


@pytest.mark.parametrize("name", BEGUN)
async def test_an_answer_that_has_begun_is_never_begun_again(name: str) -> None:
    async with (
        FakeServer(BEGUN[name]) as first,
        FakeServer(OK) as second,
        running_proxy(first.url, second.url, tiers=TIERS) as proxy,
        await proxy.connect() as client,
    ):
        await client.send(CHAT)
        assert (await client.head())[0] == 200
        with contextlib.suppress(ConnectionError):
            await client.rest()
        record = await proxy.only_record()
        assert tried(record) == [("u1", ANSWERED, 200)]
        assert record.outcome is Outcome.UPSTREAM_ERROR
        assert second.requests == []


async def test_silence_is_no_reason() -> None:
    """The upstream may be at work on a long prompt; another one would only be given the same work."""
    async with (
        FakeServer(Answer(request_received, hang)) as first,
        FakeServer(OK) as second,
        running_proxy(first.url, second.url, tiers=TIERS, limits=Limits(idle_seconds=0.1)) as proxy,
        await proxy.connect() as client,
    ):
        status, _, body = await client.exchange(CHAT)
        assert (status, json.loads(body)["error"]["type"]) == (504, "upstream_timeout")
        record = await proxy.only_record()
        assert tried(record) == [("u1", AttemptResult.TIMEOUT, None)]
        assert record.outcome is Outcome.TIMEOUT
        assert second.requests == []


# Requests that can be sent once only

UPLOAD = bytes(range(256)) * 40
HELD = Limits(held_bytes=1000)
FRAMED = {
    "length": ask("POST", "/v1/completions", Q3, body=UPLOAD),
    "chunked": ask("POST", "/v1/completions", Q3, ("Transfer-Encoding", "chunked"))
    + chunk(UPLOAD[:500])
    + chunk(UPLOAD[500:])
    + last_chunk(),
}


@pytest.mark.parametrize("framing", FRAMED)
async def test_a_streamed_upload_goes_to_the_next_one_while_nobody_has_seen_it(framing: str) -> None:
    data = FRAMED[framing]
    async with (
        refusing() as failing,
        FakeServer(OK) as good,
        running_proxy(failing, good.url, tiers=TIERS, limits=HELD) as proxy,
        await proxy.connect() as client,
    ):
        await client.send(data[:3000])
        await good.until(lambda: bool(good.requests) and len(good.requests[0].body) > 1000)
        status, _, body = await client.exchange(data[3000:])
        assert (status, body) == (200, b'{"ok":true}')
        assert good.requests[0].body == UPLOAD
        assert tried(await proxy.only_record()) == [("u1", CONNECT_ERROR, None), ("u2", ANSWERED, 200)]


@pytest.mark.parametrize("framing", FRAMED)
@pytest.mark.parametrize("name", ["closed", "reset", "garbage", "502", "503", "504"])
async def test_a_streamed_upload_is_not_sent_twice(name: str, framing: str) -> None:
    start, result, status = FAILING[name]
    async with (
        start() as failing,
        FakeServer(OK) as other,
        running_proxy(failing, other.url, tiers=TIERS, limits=HELD) as proxy,
        await proxy.connect() as client,
    ):
        received, _, body = await client.exchange(FRAMED[framing])
        assert received == (status or 502)
        assert json.loads(body)["error"]["message"]
        assert tried(await proxy.only_record()) == [("u1", result if status is None else ANSWERED, status)]
        assert other.requests == []


EXPECT = ask("POST", "/v1/completions", Q3, ("Expect", "100-continue"), ("Content-Length", "4"))


@pytest.mark.parametrize("name", ["refused", "closed", "503"])
async def test_consent_is_ours_where_there_is_a_choice(name: str) -> None:
    """What the body says is needed for the choice, and the body for another try."""
    start, result, seen = FAILING[name]
    async with (
        start() as failing,
        FakeServer(OK) as good,
        running_proxy(failing, good.url, tiers=TIERS) as proxy,
        await proxy.connect() as client,
    ):
        await client.send(EXPECT)
        assert await client.head() == (100, [])
        status, _, body = await client.exchange(b"body")
        assert (status, body) == (200, b'{"ok":true}')
        assert good.requests[0].values("expect") == []
        assert good.requests[0].body == b"body"
        assert tried(await proxy.only_record()) == [("u1", result, seen), ("u2", ANSWERED, 200)]


# Requests that may be sent once only

REPEATABLE = ["GET /props", "HEAD /health", "OPTIONS /v1/models", "GET /unheard/of"]
ONCE = ["POST /tokenize", "POST /lora-adapters", "DELETE /models", "PUT /props", "POST /unheard/of"]


def other(line: str) -> bytes:
    method, _, target = line.partition(" ")
    return ask(method, target, body=b'{"content":"x"}' if method in ("POST", "PUT") else None)


async def asks_both(proxy: Proxy, line: str) -> tuple[int, RequestRecord]:
    async with await proxy.connect() as client:
        await client.send(other(line))
        status, _ = await client.head()
        return status, await proxy.only_record()


@pytest.mark.parametrize("name", ["closed", "garbage", "503"])
@pytest.mark.parametrize("line", REPEATABLE)
async def test_what_harms_nobody_is_sent_again(line: str, name: str) -> None:
    start, result, seen = FAILING[name]
    async with (
        start() as failing,
        FakeServer(reply(200, framing="none") if line.startswith("HEAD") else OK) as good,
        running_proxy(failing, good.url, tiers=TIERS) as proxy,
    ):
        status, record = await asks_both(proxy, line)
        assert status == 200
        assert tried(record) == [("u1", result, seen), ("u2", ANSWERED, 200)]
        assert (record.upstream, record.tier, record.decision) == ("u2", "Q4", None)


@pytest.mark.parametrize("name", ["closed", "garbage", "503"])
@pytest.mark.parametrize("line", ONCE)
async def test_what_may_change_something_is_not_sent_again(line: str, name: str) -> None:
    start, result, seen = FAILING[name]
    async with (
        start() as failing,
        FakeServer(OK) as good,
        running_proxy(failing, good.url, tiers=TIERS) as proxy,
    ):
        status, record = await asks_both(proxy, line)
        assert status == (seen or 502)
        assert tried(record) == [("u1", result if seen is None else ANSWERED, seen)]
        assert (record.upstream, record.decision) == ("u1", None)
        assert good.requests == []


@pytest.mark.parametrize("line", [*REPEATABLE, *ONCE])
async def test_anything_is_sent_on_while_nobody_has_seen_it(line: str) -> None:
    answer = reply(200, framing="none") if line.startswith("HEAD") else OK
    async with refusing() as failing, FakeServer(answer) as good, running_proxy(failing, good.url) as proxy:
        status, record = await asks_both(proxy, line)
        assert status == 200
        assert tried(record) == [("u1", CONNECT_ERROR, None), ("u2", ANSWERED, 200)]
        assert good.requests[0].line == f"{line} HTTP/1.1"


async def test_after_a_retired_connection_its_server_is_gone() -> None:
    async with (
        FakeServer(OK.then(next_byte, close)) as first,
        FakeServer(OK) as second,
        running_proxy(first.url, second.url, tiers=TIERS) as proxy,
        await proxy.connect() as client,
    ):
        await client.exchange(CHAT)
        await first.stop_listening()
        assert (await client.exchange(CHAT))[0] == 200
        record = (await proxy.until_records(2))[1]
        assert tried(record) == [
            ("u1", AttemptResult.RESENT, None),
            ("u1", CONNECT_ERROR, None),
            ("u2", ANSWERED, 200),
        ]
        assert [attempt.reused for attempt in record.attempts] == [True, False, False]
        assert len(first.requests) == 2


# Several in a row


async def answers_of(proxy: Proxy, request_bytes: bytes) -> tuple[int, bytes, list[str]]:
    """Status, body, and who was tried."""
    async with await proxy.connect() as client:
        status, _, body = await client.exchange(request_bytes)
    record = await proxy.only_record()
    return status, body, [attempt.upstream for attempt in record.attempts]


@pytest.mark.parametrize("loses", [CLOSES, Answer(request_received, b"garbage\r\n\r\n")], ids=["closed", "garbage"])
async def test_what_two_upstreams_were_lost_on_is_not_given_to_a_third(loses: Answer) -> None:
    """It may be what ends them."""
    async with (
        FakeServer(loses) as first,
        FakeServer(busy()) as second,
        refusing() as third,
        FakeServer(loses) as fourth,
        FakeServer(OK) as fifth,
        running_proxy(first.url, second.url, third, fourth.url, fifth.url) as proxy,
    ):
        status, body, asked = await answers_of(proxy, ask("POST", "/v1/chat/completions", body=BODY))
        assert asked == ["u1", "u2", "u3", "u4"]
        assert status == 502
        assert "u4" in json.loads(body)["error"]["message"]
        assert fifth.requests == []


async def test_as_many_are_tried_as_there_are() -> None:
    async with (
        refusing() as first,
        FakeServer(busy(502)) as second,
        refusing() as third,
        FakeServer(busy(504)) as fourth,
        FakeServer(CLOSES) as fifth,
        FakeServer(OK) as sixth,
        running_proxy(first, second.url, third, fourth.url, fifth.url, sixth.url) as proxy,
    ):
        status, _, asked = await answers_of(proxy, ask("POST", "/v1/chat/completions", body=BODY))
        assert (status, asked) == (200, ["u1", "u2", "u3", "u4", "u5", "u6"])


@pytest.mark.parametrize(
    ("fallback", "wanted", "expected"),
    [
        ("any", "Q3", ["u3", "u4", "u2", "u1"]),
        ("any", "Q2", ["u1", "u3", "u4", "u2"]),
        ("any", "Q4", ["u2", "u3", "u4", "u1"]),
        ("tier", "Q3", ["u3", "u4"]),
        ("tier", "Q2", ["u1"]),
        ("off", "Q3", ["u3"]),
    ],
)
@pytest.mark.parametrize("reachable", [True, False])
async def test_first_the_same_tier_then_more_capable_ones_then_cheaper_ones(
    fallback: str, wanted: str, expected: list[str], reachable: bool
) -> None:
    """The last one's own 503 is passed on, or ours names the last one."""
    routing = RoutingSettings.model_validate({"fallback": fallback})
    async with contextlib.AsyncExitStack() as stack:
        urls = [
            await stack.enter_async_context(scripted(reply(503, [], b"u%d" % number))() if reachable else refusing())
            for number in range(1, 5)
        ]
        proxy = await stack.enter_async_context(running_proxy(*urls, tiers=["Q2", "Q4", "Q3", "Q3"], routing=routing))
        request_bytes = ask("POST", "/v1/chat/completions", ("X-Routing-Tier", wanted), body=BODY)
        status, body, asked = await answers_of(proxy, request_bytes)
        assert asked == expected
        if reachable:
            assert (status, body) == (503, expected[-1].encode())
        else:
            assert status == 502
            assert expected[-1] in json.loads(body)["error"]["message"]
        assert len({*asked}) == len(asked)


async def test_nobody_can_be_reached() -> None:
    """The client is told of the last one tried, by its name, in the form of an OpenAI error."""
    async with (
        unused_port() as first,
        unused_port() as second,
        running_proxy(f"http://127.0.0.1:{first}", f"http://127.0.0.1:{second}", tiers=TIERS) as proxy,
        await proxy.connect() as client,
    ):
        status, fields, body = await client.exchange(CHAT)
        assert status == 502
        assert dict(fields)[b"content-type"].startswith(b"application/json")
        error = json.loads(body)["error"]
        assert (error["code"], error["type"]) == (502, "upstream_unreachable")
        assert "u2" in error["message"]
        assert "u1" not in error["message"]
        assert not [secret for secret in ("127.0.0.1", str(first), str(second)) if secret in body.decode()]
        record = await proxy.only_record()
        assert tried(record) == [("u1", CONNECT_ERROR, None), ("u2", CONNECT_ERROR, None)]
        assert (record.outcome, record.error_type) == (Outcome.UPSTREAM_ERROR, "connect_error")
        assert (record.upstream, record.tier, record.status_code) == ("u2", "Q4", 502)
        assert record.overhead_seconds is None


# Who leaves, and what is left behind


@pytest.mark.parametrize("failing", [CLOSES, busy()], ids=["closed", "503"])
async def test_the_client_leaves_during_the_second_attempt(failing: Answer) -> None:
    async with (
        FakeServer(failing) as first,
        FakeServer(Answer(request_received, hang)) as second,
        running_proxy(first.url, second.url, tiers=TIERS) as proxy,
        await proxy.connect() as client,
    ):
        await client.send(CHAT)
        await second.until(lambda: bool(second.requests) and second.requests[0].complete)
        assert proxy.loads == {"u1": 0, "u2": 1}
        client.abort()
        await second.until(lambda: second.live == 0, timeout_seconds=1)
        record = await proxy.only_record()
        assert [attempt.upstream for attempt in record.attempts] == ["u1", "u2"]
        assert record.attempts[1].result is AttemptResult.ABANDONED
        assert (record.outcome, record.status_code, record.upstream) == (Outcome.CLIENT_GONE, None, "u2")
        assert record.decision is not None
        assert record.decision.fallback
        assert proxy.loads == {"u1": 0, "u2": 0}


async def test_the_client_leaves_while_the_second_one_is_connected_to() -> None:
    async with (
        refusing() as first,
        full_listener() as second,
        running_proxy(first, second, tiers=TIERS, limits=Limits(connect_seconds=30)) as proxy,
        await proxy.connect() as client,
    ):
        await client.send(CHAT)
        async with asyncio.timeout(5):
            while not any(observation.upstream == "u2" for observation in proxy.active):
                await asyncio.sleep(0)
        client.abort()
        record = (await proxy.until_records(1, timeout_seconds=1))[0]
        assert tried(record) == [("u1", CONNECT_ERROR, None), ("u2", AttemptResult.ABANDONED, None)]
        assert record.outcome is Outcome.CLIENT_GONE


ENDINGS: dict[str, tuple[Answer, bytes]] = {
    "answered": (OK, CHAT),
    "streamed": (sse_reply(FRAMES), STREAM),
    "500": (reply(500), CHAT),
    "503": (busy(), CHAT),
    "closed": (CLOSES, CHAT),
    "garbage": (Answer(request_received, b"garbage\r\n\r\n"), CHAT),
    "silent": (Answer(request_received, hang), CHAT),
    "broken off": (Answer(request_received, CHUNKED, chunk(b"half"), close), STREAM),
    "silent within": (Answer(request_received, CHUNKED, chunk(b"half"), hang), STREAM),
    "an upload that breaks off": (CLOSES, FRAMED["length"]),
    "no generation": (OK, other("GET /props")),
    "refused by ourselves": (OK, ask("POST", "/v1/completions", ("X-Routing-Tier", "none"), body=b"{}")),
}


@pytest.mark.parametrize("name", ENDINGS)
async def test_whatever_happens_nothing_counts_as_in_flight_afterwards(name: str) -> None:
    answer, request_bytes = ENDINGS[name]
    limits = Limits(idle_seconds=0.1, held_bytes=1000)
    async with (
        FakeServer(answer) as first,
        FakeServer(answer) as second,
        running_proxy(first.url, second.url, tiers=TIERS, limits=limits) as proxy,
        await proxy.connect() as client,
    ):
        await client.send(request_bytes)
        await client.head()
        await proxy.only_record()
        assert proxy.loads == {"u1": 0, "u2": 0}


async def test_what_is_in_flight_counts_until_the_end_of_the_answer() -> None:
    gate = asyncio.Event()
    async with (
        FakeServer(Answer(request_received, CHUNKED, chunk(b"a"), gate, last_chunk())) as first,
        FakeServer(OK) as second,
        running_proxy(first.url, second.url, tiers=TIERS) as proxy,
        await proxy.connect() as client,
    ):
        await client.send(CHAT)
        _, fields = await client.head()
        assert proxy.loads == {"u1": 1, "u2": 0}
        gate.set()
        assert await client.body(fields) == b"a"
        await proxy.only_record()
        assert proxy.loads == {"u1": 0, "u2": 0}

"""Upstreams that fail: what the client is told, and what the record says."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Sequence
from typing import Any

import pytest

from exporter.proxy.forward import Limits
from exporter.record import AttemptResult, Outcome, RequestRecord
from tests.fakes.answers import Answer, Step, close, hang, json_reply, replay, reply, request_received, reset
from tests.fakes.captures import golden
from tests.fakes.connection import Connection
from tests.fakes.llama_server import FakeServer
from tests.fakes.wire import chunk, head
from tests.proxy.harness import Proxy, RawClient, ask, running_proxy
from tests.proxy.unreachable import full_listener, unused_port

CHAT = ask("POST", "/v1/chat/completions", body=b'{"stream":true}')
OK = reply(200, [], b"ok")
QUICK = Limits(idle_seconds=0.15)


def told(fields: Sequence[tuple[bytes, bytes]], body: bytes, status: int, upstream_port: int) -> dict[str, Any]:
    """Our own error: its form is right and it names the upstream, but not its address. The `error` object."""
    named = dict(fields)
    assert named[b"content-type"].startswith(b"application/json")
    document = json.loads(body)
    assert set(document) == {"error"}
    error: dict[str, Any] = document["error"]
    assert set(error) == {"code", "message", "type"}
    assert error["code"] == status
    assert isinstance(error["type"], str)
    assert "u1" in error["message"]
    everything = body + b"".join(name + value for name, value in fields)
    for secret in (b"127.0.0.1", b"localhost", str(upstream_port).encode(), b"nowhere", b".invalid"):
        assert secret not in everything
    return error


async def fails(
    proxy: Proxy, client: RawClient, port: int, status: int, outcome: Outcome, result: AttemptResult
) -> RequestRecord:
    """Ask; the client gets our error and its connection lives on; the record."""
    received, fields, body = await client.exchange(CHAT)
    assert received == status
    told(fields, body, status, port)
    record = await proxy.only_record()
    assert record.outcome is outcome
    assert [attempt.result for attempt in record.attempts] == [result]
    assert [attempt.upstream for attempt in record.attempts] == ["u1"]
    assert record.attempts[0].seconds >= 0
    assert record.attempts[0].status_code is None
    assert (record.status_code, record.upstream, record.tier) == (status, "u1", "Q4")
    assert record.response_bytes == len(body)
    assert record.error_type == str(result)
    assert (await client.exchange(CHAT))[0] == status
    return record


async def test_nobody_listens() -> None:
    async with (
        unused_port() as port,
        running_proxy(f"http://127.0.0.1:{port}") as proxy,
        await proxy.connect() as client,
    ):
        record = await fails(proxy, client, port, 502, Outcome.UPSTREAM_ERROR, AttemptResult.CONNECT_ERROR)
        assert record.overhead_seconds is None
        assert record.first_byte_seconds is None


async def test_the_name_is_unknown() -> None:
    async with running_proxy("http://nowhere.invalid:8080") as proxy, await proxy.connect() as client:
        await fails(proxy, client, 8080, 502, Outcome.UPSTREAM_ERROR, AttemptResult.CONNECT_ERROR)


async def test_connecting_takes_too_long() -> None:
    limits = Limits(connect_seconds=0.1)
    async with full_listener() as url, running_proxy(url, limits=limits) as proxy, await proxy.connect() as client:
        port = int(url.rpartition(":")[2])
        record = await fails(proxy, client, port, 502, Outcome.UPSTREAM_ERROR, AttemptResult.CONNECT_TIMEOUT)
        assert 0.05 < record.attempts[0].seconds < 1


async def test_a_large_upload_finds_nobody() -> None:
    """The client gets the answer although it is still writing, and its connection serves the next request."""
    async with (
        unused_port() as port,
        running_proxy(f"http://127.0.0.1:{port}") as proxy,
        await proxy.connect() as client,
    ):
        for _ in range(2):
            await client.send(ask("POST", "/", body=bytes(3_000_000)))
            status, fields = await client.head()
            assert status == 502
            told(fields, await client.body(fields), 502, port)
        assert len(await proxy.until_records(2)) == 2


async def pause(connection: Connection) -> None:
    """Let the bytes arrive before what comes next."""
    await asyncio.sleep(0.02)


NO_ANSWER: dict[str, tuple[Sequence[Step], AttemptResult]] = {
    "closed": ((close,), AttemptResult.DISCONNECTED),
    "reset": ((reset,), AttemptResult.DISCONNECTED),
    "closed within the status line": ((b"HTTP/1", close), AttemptResult.DISCONNECTED),
    "closed within the head": ((b"HTTP/1.1 200 OK\r\nContent-Len", close), AttemptResult.DISCONNECTED),
    "reset within the head": ((b"HTTP/1.1 200 OK\r\nContent-Len", pause, reset), AttemptResult.DISCONNECTED),
    "closed after hints": ((b"HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n", close), AttemptResult.DISCONNECTED),
    "ssh": ((b"SSH-2.0-OpenSSH_9.2\r\n", hang), AttemptResult.PROTOCOL_ERROR),
    "tls": ((b"\x15\x03\x01\x00\x02\x02\x46", hang), AttemptResult.PROTOCOL_ERROR),
    "html": ((b"<html>nope</html>", close), AttemptResult.PROTOCOL_ERROR),
    "zeros": ((bytes(4096), hang), AttemptResult.PROTOCOL_ERROR),
    "not a number": ((b"HTTP/1.1 abc OK\r\n\r\n", hang), AttemptResult.PROTOCOL_ERROR),
    "status zero": ((b"HTTP/1.1 000 OK\r\nContent-Length: 2\r\n\r\nok", hang), AttemptResult.PROTOCOL_ERROR),
    "bad length": ((b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", hang), AttemptResult.PROTOCOL_ERROR),
    "two lengths": (
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc", hang),
        AttemptResult.PROTOCOL_ERROR,
    ),
    "bad name": ((b"HTTP/1.1 200 OK\r\nContent Length: 0\r\n\r\n", hang), AttemptResult.PROTOCOL_ERROR),
    "control characters": (
        (b"HTTP/1.1 200 OK\r\nX-A: a\x00b\r\nContent-Length: 0\r\n\r\n", hang),
        AttemptResult.PROTOCOL_ERROR,
    ),
    "another protocol": (
        (b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n\x81\x05hello", hang),
        AttemptResult.PROTOCOL_ERROR,
    ),
}


@pytest.mark.parametrize("name", NO_ANSWER)
async def test_no_answer_that_is_http(name: str) -> None:
    steps, result = NO_ANSWER[name]
    script = Answer(request_received, *steps)
    async with FakeServer(script) as server, running_proxy(server.url) as proxy, await proxy.connect() as client:
        await fails(proxy, client, server.port, 502, Outcome.UPSTREAM_ERROR, result)
        assert len(server.requests) == 2
        await server.until(lambda: server.live == 0)


CHUNKED = head(200, [("Content-Type", "text/event-stream"), ("Transfer-Encoding", "chunked")])
SHORT = head(200, [("Content-Length", "1000")])
UNBOUNDED = head(200, [("Content-Type", "text/plain")])
BROKEN_OFF: dict[str, tuple[Step, ...]] = {
    "length, closed": (SHORT + b"half", close),
    "length, reset": (SHORT + b"half", pause, reset),
    "length, nothing came": (SHORT, close),
    "chunks, closed between": (CHUNKED + chunk(b"half"), close),
    "chunks, closed within": (CHUNKED + b"ff\r\nhalf", close),
    "chunks, reset": (CHUNKED + chunk(b"half"), pause, reset),
    "chunks, closed within the end": (CHUNKED + chunk(b"half") + b"0\r\n", close),
    "chunks, bad size later": (CHUNKED + chunk(b"half"), pause, b"zz\r\nabc\r\n", hang),
    "chunks, no line end": (CHUNKED + chunk(b"half"), pause, b"3\r\nabcdef\r\n", hang),
    "chunks, bad size at once": (CHUNKED + b"zz\r\nabc\r\n", hang),
    "chunks, size too large": (CHUNKED + b"fffffffffffffffffff\r\nabc", hang),
    "until close, reset": (UNBOUNDED + b"half", pause, reset),
}


@pytest.mark.parametrize("name", BROKEN_OFF)
async def test_an_answer_that_breaks_off_does_not_look_whole(name: str) -> None:
    script = Answer(request_received, *BROKEN_OFF[name])
    async with FakeServer(script) as server, running_proxy(server.url) as proxy, await proxy.connect() as client:
        await client.send(CHAT)
        status, fields = await client.head()
        if status == 502:  # possible where the fault arrived together with the head
            assert name in ("chunks, bad size at once", "chunks, size too large")
        else:
            assert status == 200
            received = await client.rest()
            whole = (
                received.endswith(b"0\r\n\r\n") if (b"content-length", b"1000") not in fields else len(received) == 1000
            )
            assert not whole
        record = await proxy.only_record()
        assert record.outcome is Outcome.UPSTREAM_ERROR
        assert record.status_code == status
        assert record.error_type in ("disconnected", "protocol_error")
        assert len(server.requests) == 1
        await server.until(lambda: server.live == 0)


async def test_what_had_come_before_the_break_is_delivered() -> None:
    script = Answer(request_received, CHUNKED, chunk(b"a" * 50_000), chunk(b"b"), close)
    async with FakeServer(script) as server, running_proxy(server.url) as proxy, await proxy.connect() as client:
        await client.send(CHAT)
        await client.head()
        rest = await client.rest()
        assert rest.count(b"a") >= 50_000
        assert b"1\r\nb\r\n" in rest or rest.endswith(b"b\r\n")
        assert (await proxy.only_record()).response_bytes == 50_001


async def test_what_comes_together_with_the_break_is_delivered() -> None:
    """The last tokens and the fault are in one packet: the tokens were said."""
    go = asyncio.Event()
    script = Answer(request_received, CHUNKED, chunk(b"first"), go, chunk(b"last") + b"zz\r\n", hang)
    async with FakeServer(script) as server, running_proxy(server.url) as proxy, await proxy.connect() as client:
        await client.send(CHAT)
        await client.head()
        assert await anext(client.chunks()) == b"first"
        go.set()
        assert b"last" in await client.rest()
        record = await proxy.only_record()
        assert (record.outcome, record.response_bytes) == (Outcome.UPSTREAM_ERROR, 9)


async def test_silence_before_the_head() -> None:
    async with (
        FakeServer(Answer(request_received, hang)) as server,
        running_proxy(server.url, limits=QUICK) as proxy,
        await proxy.connect() as client,
    ):
        record = await fails(proxy, client, server.port, 504, Outcome.TIMEOUT, AttemptResult.TIMEOUT)
        assert 0.1 < record.attempts[0].seconds < 1.2
        assert len(server.requests) == 2
        await server.until(lambda: server.live == 0)


async def test_silence_before_the_head_on_a_reused_connection_is_not_tried_again() -> None:
    async with (
        FakeServer([OK, Answer(request_received, hang)]) as server,
        running_proxy(server.url, limits=QUICK) as proxy,
        await proxy.connect() as client,
    ):
        assert (await client.exchange(CHAT))[0] == 200
        assert (await client.exchange(CHAT))[0] == 504
        assert len(server.requests) == 2


async def test_silence_after_an_upload() -> None:
    async with (
        FakeServer(Answer(request_received, hang)) as server,
        running_proxy(server.url, limits=QUICK) as proxy,
        await proxy.connect() as client,
    ):
        await client.send(ask("POST", "/", body=bytes(3_000_000)))
        assert (await client.head())[0] == 504
        assert (await proxy.only_record()).outcome is Outcome.TIMEOUT
        await server.until(lambda: server.live == 0)


@pytest.mark.parametrize("start", [CHUNKED + chunk(b"half"), SHORT + b"half", UNBOUNDED + b"half"])
async def test_silence_within_a_stream(start: bytes) -> None:
    async with (
        FakeServer(Answer(request_received, start, hang)) as server,
        running_proxy(server.url, limits=QUICK) as proxy,
        await proxy.connect() as client,
    ):
        await client.send(CHAT)
        status, fields = await client.head()
        assert status == 200
        received = await client.rest()
        assert b"half" in received
        assert not received.endswith(b"0\r\n\r\n")
        assert (b"content-length", b"4") not in fields
        record = await proxy.only_record()
        assert (record.outcome, record.status_code, record.error_type) == (Outcome.TIMEOUT, 200, "timeout")
        assert [attempt.result for attempt in record.attempts] == [AttemptResult.ANSWERED]
        await server.until(lambda: server.live == 0)


async def test_a_slow_stream_is_not_silent() -> None:
    """Each gap is within the limit, all of them together are not."""

    async def wait(connection: Connection) -> None:
        await asyncio.sleep(0.1)

    frames: list[Step] = [step for n in range(5) for step in (chunk(b"%d" % n), wait)]
    script = Answer(request_received, wait, CHUNKED, *frames, b"0\r\n\r\n")
    async with (
        FakeServer(script) as server,
        running_proxy(server.url, limits=Limits(idle_seconds=0.4)) as proxy,
        await proxy.connect() as client,
    ):
        status, _, body = await client.exchange(CHAT)
        assert (status, body) == (200, b"01234")
        assert (await proxy.only_record()).outcome is Outcome.COMPLETED


async def test_a_slow_client_is_not_the_upstreams_silence() -> None:
    """The client pauses in its upload for longer than the upstream may be silent: that one has nothing to say yet."""
    body = bytes(3_000_000)
    async with (
        FakeServer(OK) as server,
        running_proxy(server.url, limits=QUICK) as proxy,
        await proxy.connect() as client,
    ):
        await client.send(ask("POST", "/", ("Content-Length", str(len(body)))) + body[:2_000_000])
        await server.until(lambda: bool(server.requests) and len(server.requests[0].body) == 2_000_000)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(client.reader.readexactly(1), 0.4)
        await client.send(body[2_000_000:])
        status, fields = await client.head()
        assert (status, await client.body(fields)) == (200, b"ok")


async def test_a_client_that_reads_late_is_not_the_upstreams_silence() -> None:
    frames = [bytes(100_000)] * 100
    async with (
        FakeServer(reply(200, [], frames, framing="chunked")) as server,
        running_proxy(server.url, limits=QUICK) as proxy,
        await proxy.connect() as client,
    ):
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await client.send(CHAT)
        with contextlib.suppress(TimeoutError):
            await proxy.until_records(1, timeout_seconds=0.5)
        client.writer.transport.resume_reading()  # type: ignore[attr-defined]
        _, fields = await client.head()
        assert len(await client.body(fields)) == 10_000_000
        assert (await proxy.only_record()).outcome is Outcome.COMPLETED


LOADING = json_reply({"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}}, 503)


@pytest.mark.parametrize("name", ["error-bad-json", "error-context-exceeded", "not-found", "loading"])
async def test_the_servers_own_errors_pass_as_they_are(name: str) -> None:
    answer = LOADING if name == "loading" else replay(golden(name))
    expected = answer.steps[-1] if name == "loading" else golden(name).body
    async with FakeServer(answer) as server, running_proxy(server.url) as proxy, await proxy.connect() as client:
        status, _, body = await client.exchange(CHAT)
        assert status == (503 if name == "loading" else golden(name).status)
        assert body == expected
        record = await proxy.only_record()
        assert (record.outcome, record.status_code) == (Outcome.UPSTREAM_ERROR, status)
        assert [attempt.result for attempt in record.attempts] == [AttemptResult.ANSWERED]
        assert record.attempts[0].status_code == status
        assert record.error_type == json.loads(body)["error"]["type"]


async def test_a_failing_upstream_leaves_nothing_behind() -> None:
    """Faults of every kind, one after the other: no connection stays open and the next good answer passes."""
    faults = [Answer(request_received, *steps) for steps, _ in NO_ANSWER.values()]
    faults += [Answer(request_received, *steps) for steps in BROKEN_OFF.values()]
    async with FakeServer([*faults, OK]) as server, running_proxy(server.url) as proxy:
        for _ in faults:
            async with await proxy.connect() as client:
                await client.send(CHAT)
                await client.head()
            await proxy.until_records(len(server.requests))
        async with await proxy.connect() as client:
            status, _, body = await client.exchange(CHAT)
            assert (status, body) == (200, b"ok")
        await server.until(lambda: server.live <= 1)
        assert proxy.transport.open_connections <= 1

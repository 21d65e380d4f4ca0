"""The client towards the upstreams by itself: its pool, its errors, and what it tells of an exchange."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import httpx
import pytest

from exporter.proxy.connection import StaleConnectionError
from exporter.proxy.transport import AnswerStream, Exchange, UpstreamTransport
from tests.fakes.answers import Answer, close, hang, next_byte, reply, request_received, stop_reading
from tests.fakes.llama_server import FakeServer
from tests.fakes.wire import CONTINUE, chunk, head, keep_alive, last_chunk

OK = reply(200, [keep_alive()], b"ok")


class Clock:
    """Monotonic time that stands still until it is told to go on."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Pieces(httpx.AsyncByteStream):
    """A body that is streamed."""

    def __init__(self, *pieces: bytes | Exception) -> None:
        self.pieces = pieces

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self.pieces:
            if isinstance(piece, Exception):
                raise piece
            yield piece


def request(
    server: FakeServer,
    exchange: Exchange,
    method: str = "POST",
    *fields: tuple[bytes, bytes],
    stream: httpx.AsyncByteStream | None = None,
    read: float | None = 2.0,
    connect: float | None = 2.0,
) -> httpx.Request:
    length = [] if exchange.body is None else [(b"content-length", str(len(exchange.body)).encode())]
    return httpx.Request(
        method,
        server.url,
        headers=[(b"host", b"x"), *fields, *length],
        stream=stream or Pieces(),
        extensions={"exchange": exchange, "timeout": {"connect": connect, "read": read}},
    )


async def fetch(transport: UpstreamTransport, server: FakeServer, exchange: Exchange) -> bytes:
    response = await transport.handle_async_request(request(server, exchange))
    return await body_of(response)


async def body_of(response: httpx.Response) -> bytes:
    assert isinstance(response.stream, httpx.AsyncByteStream)
    try:
        return b"".join([piece async for piece in response.stream])
    finally:
        await response.stream.aclose()


async def test_an_exchange_tells_what_happened() -> None:
    clock = Clock()
    async with FakeServer(OK) as server, UpstreamTransport(clock=clock) as transport:
        first, second = Exchange(b"/a?b", b"x"), Exchange(b"/c", b"y")
        assert await fetch(transport, server, first) == b"ok"
        assert await fetch(transport, server, second) == b"ok"
        assert (first.reused, second.reused) == (False, True)
        assert (first.written_at, second.written_at) == (1000.0, 1000.0)
        assert second.connect_seconds == 0.0
        assert [sent.target for sent in server.requests] == ["/a?b", "/c"]
        assert transport.open_connections == 1


async def test_a_fresh_connection_can_be_asked_for() -> None:
    async with FakeServer(OK) as server, UpstreamTransport() as transport:
        await fetch(transport, server, Exchange(b"/", b""))
        exchange = Exchange(b"/", b"", fresh=True)
        await fetch(transport, server, exchange)
        assert not exchange.reused
        assert len(server.connections) == 2


async def test_the_servers_own_idle_limit_is_kept_with_a_margin() -> None:
    clock = Clock()
    answer = reply(200, [keep_alive(timeout=10)], b"ok")
    async with FakeServer(answer) as server, UpstreamTransport(clock=clock) as transport:
        await fetch(transport, server, Exchange(b"/", b""))
        clock.now += 8.5
        await fetch(transport, server, Exchange(b"/", b""))
        assert len(server.connections) == 1
        clock.now += 9.5
        await fetch(transport, server, Exchange(b"/", b""))
        assert len(server.connections) == 2
        await server.until(lambda: server.live == 1)


async def test_without_a_stated_limit_idle_connections_live_less_than_five_seconds() -> None:
    clock = Clock()
    async with FakeServer(reply(200, [], b"ok")) as server, UpstreamTransport(clock=clock) as transport:
        await fetch(transport, server, Exchange(b"/", b""))
        clock.now += 3
        await fetch(transport, server, Exchange(b"/", b""))
        assert len(server.connections) == 1
        clock.now += 4.9
        await fetch(transport, server, Exchange(b"/", b""))
        assert len(server.connections) == 2


@pytest.mark.parametrize("timeout", [0, 1])
async def test_a_limit_too_short_to_use_means_no_reuse(timeout: int) -> None:
    answer = reply(200, [keep_alive(timeout=timeout)], b"ok")
    async with FakeServer(answer) as server, UpstreamTransport() as transport:
        for _ in range(3):
            assert await fetch(transport, server, Exchange(b"/", b"")) == b"ok"
        assert len(server.connections) == 3
        await server.until(lambda: server.live == 0)


async def test_idle_connections_that_are_too_old_are_closed_when_others_come_back() -> None:
    clock = Clock()
    gate = asyncio.Event()
    async with (
        FakeServer(Answer(request_received, gate, *OK.steps)) as server,
        UpstreamTransport(clock=clock) as transport,
    ):
        async with asyncio.TaskGroup() as group:
            for _ in range(5):
                group.create_task(fetch(transport, server, Exchange(b"/", b"")))
            await server.until(lambda: len(server.requests) == 5)
            gate.set()
        assert transport.open_connections == 5
        clock.now += 60
        await fetch(transport, server, Exchange(b"/", b""))
        await server.until(lambda: server.live == 1)
        assert transport.open_connections == 1


async def test_the_newest_connection_is_used_first() -> None:
    """So that the others may grow old."""
    gate = asyncio.Event()
    async with FakeServer(Answer(request_received, gate, *OK.steps)) as server, UpstreamTransport() as transport:
        async with asyncio.TaskGroup() as group:
            for _ in range(3):
                group.create_task(fetch(transport, server, Exchange(b"/", b"")))
            await server.until(lambda: len(server.requests) == 3)
            gate.set()
        for _ in range(6):
            await fetch(transport, server, Exchange(b"/", b""))
        assert len(server.connections) == 3
        assert len({sent.connection for sent in server.requests[3:]}) == 1


async def test_origins_have_pools_of_their_own() -> None:
    async with FakeServer(OK) as first, FakeServer(OK) as second, UpstreamTransport() as transport:
        for _ in range(2):
            await fetch(transport, first, Exchange(b"/1", b""))
            await fetch(transport, second, Exchange(b"/2", b""))
        assert [sent.target for sent in first.requests] == ["/1", "/1"]
        assert [sent.target for sent in second.requests] == ["/2", "/2"]
        assert transport.open_connections == 2


async def test_a_retired_connection_is_told_apart() -> None:
    async with FakeServer([OK.then(next_byte, close), OK]) as server, UpstreamTransport() as transport:
        await fetch(transport, server, Exchange(b"/", b""))
        exchange = Exchange(b"/", b"x")
        with pytest.raises(StaleConnectionError):
            await fetch(transport, server, exchange)
        assert exchange.reused
        assert transport.open_connections == 0


async def test_a_fresh_connection_without_an_answer_is_an_error() -> None:
    async with FakeServer(Answer(request_received, close)) as server, UpstreamTransport() as transport:
        with pytest.raises(httpx.RemoteProtocolError) as caught:
            await fetch(transport, server, Exchange(b"/", b""))
        assert not isinstance(caught.value, StaleConnectionError)


async def test_the_errors_of_reaching_and_reading() -> None:
    async with FakeServer(Answer(request_received, hang)) as server, UpstreamTransport() as transport:
        with pytest.raises(httpx.ReadTimeout):
            await transport.handle_async_request(request(server, Exchange(b"/", b""), read=0.05))
        await server.until(lambda: server.live == 0)
        await server.stop_listening()
        with pytest.raises(httpx.ConnectError) as caught:
            await fetch(transport, server, Exchange(b"/", b""))
        assert str(server.port) not in str(caught.value)
        assert transport.open_connections == 0


async def test_a_cancelled_call_closes_its_connection() -> None:
    async with FakeServer(Answer(request_received, hang)) as server, UpstreamTransport() as transport:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.05):
                await fetch(transport, server, Exchange(b"/", b""))
        await server.until(lambda: server.live == 0)
        assert transport.open_connections == 0


async def test_an_answer_that_is_not_read_closes_its_connection() -> None:
    answer = Answer(request_received, head(200, [("Content-Length", "100")]), b"some", hang)
    async with FakeServer(answer) as server, UpstreamTransport() as transport:
        response = await transport.handle_async_request(request(server, Exchange(b"/", b"")))
        assert isinstance(response.stream, httpx.AsyncByteStream)
        await response.stream.aclose()
        await response.stream.aclose()  # twice is once
        await server.until(lambda: server.live == 0)


async def test_a_streamed_body_has_the_framing_of_the_request() -> None:
    async with FakeServer(OK) as server, UpstreamTransport() as transport:
        for field in ((b"transfer-encoding", b"chunked"), (b"content-length", b"5")):
            sent = request(server, Exchange(b"/", None), "PUT", field, stream=Pieces(b"ab", b"", b"cde"))
            assert await body_of(await transport.handle_async_request(sent)) == b"ok"
        chunked, plain = server.requests
        assert (bytes(chunked.wire_body), bytes(plain.wire_body)) == (
            chunk(b"ab") + chunk(b"cde") + last_chunk(),
            b"abcde",
        )


async def test_a_body_that_fails_fails_the_call_and_is_never_complete_upstream() -> None:
    class BrokenError(Exception):
        pass

    async with FakeServer(OK) as server, UpstreamTransport() as transport:
        field = (b"transfer-encoding", b"chunked")
        sent = request(server, Exchange(b"/", None), "PUT", field, stream=Pieces(b"ab", BrokenError()))
        with pytest.raises(BrokenError):
            await transport.handle_async_request(sent)
        await server.until(lambda: server.live == 0)
        assert not any(received.complete for received in server.requests)


async def test_a_body_waits_for_consent() -> None:
    gate = asyncio.Event()
    async with (
        FakeServer(Answer(gate, CONTINUE, request_received, *OK.steps)) as server,
        UpstreamTransport() as transport,
    ):
        exchange = Exchange(b"/", None, wait_for_continue=True)
        field = (b"content-length", b"2")
        sent = request(server, exchange, "PUT", field, (b"expect", b"100-continue"), stream=Pieces(b"ab"))
        async with asyncio.TaskGroup() as group:
            answering = group.create_task(transport.handle_async_request(sent))
            await server.until(lambda: len(server.requests) == 1)
            assert server.requests[0].body == b""
            gate.set()
        assert await body_of(answering.result()) == b"ok"
        assert server.requests[0].body == b"ab"


async def test_a_connection_whose_upload_was_not_wanted_is_not_reused() -> None:
    """The upstream answered without the body, so it takes what comes next for the body."""
    early = reply(413, [keep_alive()], b"no", early=True)
    async with FakeServer([early.then(hang), OK]) as server, UpstreamTransport() as transport:
        exchange = Exchange(b"/", None, wait_for_continue=True)
        sent = request(server, exchange, "PUT", (b"content-length", b"2"), stream=Pieces(b"ab"))
        response = await transport.handle_async_request(sent)
        assert (response.status_code, await body_of(response)) == (413, b"no")
        assert await fetch(transport, server, Exchange(b"/next", b"")) == b"ok"
        assert server.requests[1].connection == 2


async def test_closing_closes_everything() -> None:
    answer = Answer(request_received, head(200, [("Content-Length", "100")]), b"some", hang)
    async with FakeServer([OK, answer]) as server:
        async with UpstreamTransport() as transport:
            await fetch(transport, server, Exchange(b"/", b""))
            response = await transport.handle_async_request(request(server, Exchange(b"/", b"", fresh=True)))
            assert transport.open_connections == 2
        await server.until(lambda: server.live == 0)
        with pytest.raises(httpx.TransportError):
            await body_of(response)


async def test_the_answer_comes_undecoded_with_its_fields_in_order() -> None:
    fields = [("X-B", "1"), ("X-A", "\xe9"), ("x-b", "2"), ("Content-Encoding", "gzip")]
    async with FakeServer(reply(200, fields, b"not gzip")) as server, UpstreamTransport() as transport:
        response = await transport.handle_async_request(request(server, Exchange(b"/", b"")))
        assert [(n.lower(), v) for n, v in response.headers.raw][:-1] == [
            (name.lower().encode(), value.encode("latin-1")) for name, value in fields
        ]
        assert await body_of(response) == b"not gzip"


async def test_a_server_that_takes_nothing_of_the_request_is_silent_too() -> None:
    """An upload that stands still is the server's doing, and the idle limit holds for it."""
    endless_body = Pieces(*[bytes(1 << 20)] * 64)
    length = (b"content-length", str(64 << 20).encode())
    async with FakeServer(Answer(stop_reading, hang), buffer_bytes=16_384) as server, UpstreamTransport() as transport:
        asked = request(server, Exchange(b"/", None, fresh=True), "POST", length, stream=endless_body, read=0.2)
        with pytest.raises(httpx.WriteTimeout, match="took nothing more of the request"):
            await transport.handle_async_request(asked)
        assert transport.open_connections <= 1


async def test_a_failing_push_ends_the_exchange() -> None:
    """Whoever is handed the pieces may fail: the error reaches the one who waits, not the event loop."""
    go = asyncio.Event()
    script = Answer(request_received, head(200, [("Content-Length", "6")]), b"ab", go, b"cd", hang)
    async with FakeServer(script) as server, UpstreamTransport() as transport:
        response = await transport.handle_async_request(request(server, Exchange(b"/", b"")))
        stream = response.stream
        assert isinstance(stream, AnswerStream)
        assert await stream.read() == b"ab"

        def push(piece: bytes) -> bool:
            raise ValueError(f"cannot take {piece!r}")

        go.set()
        await stream.pipe(push)
        with pytest.raises(ValueError, match=r"cannot take b'cd'"):
            await stream.read()
        await stream.aclose()

"""The fake must show each fault when a test asks for it, and tell the truth about what it received."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from tests.fakes.answers import (
    Answer,
    Step,
    by_path,
    byte_by_byte,
    close,
    endless,
    hang,
    json_reply,
    next_byte,
    replay,
    reply,
    request_received,
    reset,
    resume_reading,
    sse_reply,
    stop_reading,
)
from tests.fakes.captures import golden
from tests.fakes.llama_server import FakeServer
from tests.fakes.received import Request
from tests.fakes.wire import CONTINUE, chunk, early_hints, head, keep_alive, last_chunk

GET = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
OK = reply(200, [], b"ok")
OK_BYTES = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Peer:
    """A raw client that shows bytes, FIN and RST as they are."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def ask(self, data: bytes = GET) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def read(self, size: int) -> bytes:
        async with asyncio.timeout(5):
            return await self.reader.readexactly(size)

    async def read_all(self) -> bytes:
        async with asyncio.timeout(5):
            return await self.reader.read()


@asynccontextmanager
async def connect(server: FakeServer) -> AsyncIterator[Peer]:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        yield Peer(reader, writer)
    finally:
        writer.transport.abort()


async def test_requests_are_recorded_as_they_were_sent() -> None:
    async with FakeServer(OK) as server, connect(server) as peer, connect(server) as other:
        await peer.ask(b"POST /a?b=c%20d HTTP/1.1\r\nhOsT: x\r\nX-A:1\r\nx-a: 2\r\nContent-Length: 3\r\n\r\nabc")
        assert await peer.read(len(OK_BYTES)) == OK_BYTES
        await peer.ask()
        await peer.read(len(OK_BYTES))
        await other.ask()
        await other.read(len(OK_BYTES))
    first, second, third = server.requests
    assert first.line == "POST /a?b=c%20d HTTP/1.1"
    assert first.headers == [("hOsT", "x"), ("X-A", "1"), ("x-a", "2"), ("Content-Length", "3")]
    assert first.body == b"abc"
    assert [(r.connection, r.number) for r in (first, second, third)] == [(1, 1), (1, 2), (2, 1)]
    assert all(request.answered_at is not None for request in server.requests)


async def test_httpx_understands_the_ready_made_answers() -> None:
    frames = [b"data: 1\n\n", b"data: [DONE]\n\n"]
    script = by_path({"/health": json_reply({"status": "ok"}), "/stream": sse_reply(frames)})
    async with FakeServer(script) as server, httpx.AsyncClient(base_url=server.url) as client:
        assert (await client.get("/health")).json() == {"status": "ok"}
        assert (await client.post("/stream", json={"stream": True})).content == b"".join(frames)
        assert (await client.get("/nowhere")).status_code == 404
    assert [request.path for request in server.requests] == ["/health", "/stream", "/nowhere"]
    assert {request.connection for request in server.requests} == {1}
    assert json.loads(server.requests[1].body) == {"stream": True}


async def test_answers_in_order_and_the_last_again_and_again() -> None:
    async with (
        FakeServer([reply(500), reply(204, framing="none")]) as server,
        httpx.AsyncClient(base_url=server.url) as client,
    ):
        assert [(await client.get("/")).status_code for _ in range(3)] == [500, 204, 204]


@pytest.mark.parametrize("name", ["chat", "chat-stream", "messages-stream", "error-bad-json", "router-chat"])
async def test_captures_are_replayed_whole_however_they_are_cut(name: str) -> None:
    real = golden(name)
    script = [replay(real), *(replay(real, real.split(seed)) for seed in range(5)), byte_by_byte(replay(real))]
    async with FakeServer(script) as server, httpx.AsyncClient(base_url=server.url) as client:
        for _ in script:
            response = await client.post("/", json={})
            assert response.status_code == real.status
            assert response.content == real.body
    assert len(server.connections) == (len(script) if real.closes else 1)


async def test_an_event_holds_the_rest_back() -> None:
    go_on = asyncio.Event()
    async with FakeServer(Answer(OK_BYTES[:-1], go_on, OK_BYTES[-1:])) as server, connect(server) as peer:
        await peer.ask()
        assert await peer.read(len(OK_BYTES) - 1) == OK_BYTES[:-1]
        assert server.requests[0].answered_at is None
        go_on.set()
        assert await peer.read(1) == b"k"
        await server.until(lambda: server.requests[0].answered_at is not None)


@pytest.mark.parametrize("step", [close, reset])
async def test_a_connection_that_dies_as_the_next_request_is_written(step: Step) -> None:
    async with FakeServer([OK.then(next_byte, step), OK]) as server, connect(server) as peer:
        await peer.ask()
        await peer.read(len(OK_BYTES))
        assert server.live == 1
        await peer.ask(GET[:1])
        if step is reset:
            with pytest.raises(ConnectionResetError):
                await peer.read_all()
        else:
            assert await peer.read_all() == b""
        assert len(server.requests) == 1
        async with connect(server) as fresh:
            await fresh.ask()
            assert await fresh.read(len(OK_BYTES)) == OK_BYTES


async def test_httpx_sees_its_pooled_connection_die() -> None:
    async with (
        FakeServer([OK.then(next_byte, close), OK]) as server,
        httpx.AsyncClient(base_url=server.url) as client,
    ):
        await client.get("/")
        with pytest.raises(httpx.RemoteProtocolError):
            await client.get("/")
        assert (await client.get("/")).text == "ok"
        assert [connection.number for connection in server.connections] == [1, 2]


async def test_a_connection_is_closed_after_its_last_request() -> None:
    answer = reply(200, [keep_alive(maximum=2)], b"ok")
    async with FakeServer(answer, max_requests=2) as server, connect(server) as peer:
        await peer.ask(GET * 3)
        received = await peer.read_all()
    assert received.count(b"Keep-Alive: timeout=5, max=2\r\n") == 2
    assert [request.answered_at is not None for request in server.requests] == [True, True, False]


async def test_a_silent_connection_is_closed_and_a_busy_one_is_not() -> None:
    async with FakeServer(OK, idle_seconds=0.05) as server, connect(server) as peer:
        for _ in range(2):
            await peer.ask()
            await peer.read(len(OK_BYTES))
        assert await peer.read_all() == b""
        await server.until(lambda: server.live == 0)
    assert server.connections[0].peer_closed_at is None
    assert len(server.requests) == 2


async def test_half_an_answer() -> None:
    async with FakeServer(Answer(OK_BYTES[:-1], close)) as server, httpx.AsyncClient() as client:
        with pytest.raises(httpx.RemoteProtocolError, match="complete message body"):
            await client.get(server.url)


async def test_no_answer_and_a_client_that_gives_up() -> None:
    async with FakeServer(Answer(hang)) as server:
        async with connect(server) as peer:
            await peer.ask()
            await server.until(lambda: len(server.requests) == 1)
        await server.until(lambda: server.live == 0)
        (request,) = server.requests
        assert request.answered_at is None
        assert request.peer_closed_at is not None
        assert request.peer_closed_at >= request.received_at
        assert server.connections[0].peer_closed_at == request.peer_closed_at


async def test_a_peer_that_resets_is_noticed() -> None:
    async with FakeServer(Answer(hang)) as server:
        raw = socket.create_connection(("127.0.0.1", server.port))
        raw.sendall(GET)
        await server.until(lambda: len(server.requests) == 1)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        raw.close()
        await server.until(lambda: server.live == 0)
        assert server.requests[0].peer_closed_at is not None


async def test_an_answer_before_the_body() -> None:
    upload = b"POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\n"
    async with FakeServer(reply(413, early=True)) as server, connect(server) as peer:
        await peer.ask(upload)
        answer = await peer.read(len(head(413, [("Content-Length", "0")])))
        assert answer.startswith(b"HTTP/1.1 413 ")
        assert not server.requests[0].complete
        await peer.ask(b"body" + GET)
        await server.until(lambda: len(server.requests) == 2)
        assert server.requests[0].body == b"body"


async def test_interim_answers() -> None:
    script = Answer(CONTINUE, request_received, early_hints("</x>"), *OK.steps)
    async with FakeServer(script) as server, connect(server) as peer:
        await peer.ask(b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n")
        assert await peer.read(len(CONTINUE)) == CONTINUE
        assert not server.requests[0].complete
        await peer.ask(b"x")
        assert await peer.read(len(early_hints("</x>") + OK_BYTES)) == early_hints("</x>") + OK_BYTES


async def test_an_endless_stream_stops_where_the_peer_does_not_read() -> None:
    piece = chunk(b"x" * 1000)
    stream = Answer(head(200, [("Transfer-Encoding", "chunked")]), endless(piece))
    async with FakeServer(stream, buffer_bytes=16_384) as server, connect(server) as peer:
        peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await peer.ask()
        connection = server.connections[0]
        await server.until(lambda: connection.blocked)
        blocked_at = connection.bytes_written
        peer.writer.transport.resume_reading()  # type: ignore[attr-defined]
        await peer.read(blocked_at + 10 * len(piece))
        assert connection.bytes_written > blocked_at
    assert server.requests[0].answered_at is None


async def test_an_upload_that_is_not_read() -> None:
    body = b"x" * 8_000_000
    script = Answer(stop_reading, gate := asyncio.Event(), resume_reading, *OK.steps)
    async with FakeServer(script, buffer_bytes=16_384) as server, connect(server) as peer:
        peer.writer.write(b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body))
        await server.until(lambda: len(server.requests) == 1)
        peer.writer.write(body)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await peer.writer.drain()
        assert server.requests[0].body == b""
        gate.set()
        assert await peer.read(len(OK_BYTES)) == OK_BYTES
        assert server.requests[0].body == body


async def test_bodies_told_by_close_and_by_trailers() -> None:
    by_close = reply(200, [], [b"ab", b"c"], framing="close", version="1.0")
    by_trailer = Answer(head(200, [("Transfer-Encoding", "chunked")]), chunk(b"abc"), last_chunk([("X-Sum", "9")]))
    async with FakeServer([by_close, by_trailer.then(close)]) as server:
        async with connect(server) as peer:
            await peer.ask()
            assert await peer.read_all() == b"HTTP/1.0 200 OK\r\n\r\nabc"
        async with connect(server) as peer:
            await peer.ask()
            assert (await peer.read_all()).endswith(b"3\r\nabc\r\n0\r\nX-Sum: 9\r\n\r\n")


NOT_HTTP = [
    pytest.param(b"SSH-2.0-OpenSSH_9.2\r\n", id="garbage"),
    pytest.param(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nab\r\n", id="bad chunk size"),
    pytest.param(b"HTTP/1.1 200 OK\r\nX-Huge: " + b"x" * 200_000 + b"\r\nContent-Length: 0\r\n\r\n", id="huge header"),
]


@pytest.mark.parametrize("data", NOT_HTTP)
async def test_bytes_that_are_not_http(data: bytes) -> None:
    async with FakeServer(Answer(data, close)) as server:
        async with connect(server) as peer:
            await peer.ask()
            assert await peer.read_all() == data
        async with httpx.AsyncClient() as client:
            with pytest.raises(httpx.RemoteProtocolError):
                await client.get(server.url)


async def test_headers_that_are_legal_but_rare() -> None:
    fields = [
        ("Connection", "close"),
        keep_alive(),
        ("Set-Cookie", "a=1"),
        ("Set-Cookie", "b=2"),
        ("X-Fold", "1\r\n 2"),
    ]
    async with FakeServer(reply(200, fields, b"ok").then(close)) as server, httpx.AsyncClient() as client:
        response = await client.get(server.url)
        assert response.headers.get_list("set-cookie") == ["a=1", "b=2"]
        assert response.headers["x-fold"] == "1 2"
        assert response.headers["keep-alive"] == "timeout=5, max=100"


async def test_answers_without_a_body() -> None:
    def script(request: Request) -> Answer:
        if request.method == "HEAD":
            return Answer(head(200, [("Content-Length", "626")]))
        return reply(304, [("ETag", "x")], framing="none")

    async with FakeServer(script) as server, httpx.AsyncClient(base_url=server.url) as client:
        assert (await client.head("/")).headers["content-length"] == "626"
        assert (await client.get("/")).status_code == 304
        assert len(server.connections) == 1


async def test_a_client_that_wants_the_connection_closed() -> None:
    async with FakeServer(OK) as server, connect(server) as peer:
        await peer.ask(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n")
        assert await peer.read_all() == OK_BYTES


async def test_live_connections_are_counted() -> None:
    async with FakeServer(OK) as server:
        async with connect(server), connect(server):
            await server.until(lambda: server.live == 2)
        await server.until(lambda: server.live == 0)
        assert [connection.peer_closed_at is not None for connection in server.connections] == [True, True]


async def test_a_server_that_no_longer_listens_refuses() -> None:
    async with FakeServer(OK) as server, connect(server) as peer:
        await server.until(lambda: server.live == 1)
        await server.stop_listening()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", server.port)
        await peer.ask()
        assert await peer.read(len(OK_BYTES)) == OK_BYTES


async def test_an_error_in_a_script_fails_the_test() -> None:
    def script(request: Request) -> Answer:
        raise AssertionError(request.path)

    async def ask() -> None:
        async with FakeServer(script) as server, connect(server) as peer:
            await peer.ask()
            with pytest.raises(ConnectionResetError):
                await peer.read_all()

    with pytest.raises(AssertionError, match="/health"):
        await ask()


async def test_waiting_has_an_end() -> None:
    async with FakeServer(OK) as server:
        with pytest.raises(TimeoutError):
            await server.until(lambda: len(server.requests) == 1, timeout_seconds=0.01)


async def test_pieces_do_not_wait_for_one_another() -> None:
    async with FakeServer(OK) as server, connect(server) as peer:
        await peer.ask()
        await peer.read(len(OK_BYTES))
        sock = server.connections[0].transport.get_extra_info("socket")
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)

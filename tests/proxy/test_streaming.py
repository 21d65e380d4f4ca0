"""Bodies flow through the proxy with bounded memory, whoever is slow."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import partial

import pytest

from exporter.record import Outcome
from tests.fakes.answers import Answer, endless, reply, request_received, resume_reading, stop_reading
from tests.fakes.connection import Connection
from tests.fakes.llama_server import FakeServer
from tests.fakes.wire import chunk, head
from tests.proxy.harness import Proxy, RawClient, ask, running_proxy

MIB = 1 << 20
BLOCK = random.Random(5).randbytes(MIB)
FRAME = b'data: {"choices":[{"delta":{"content":"' + b"x" * 900 + b'"}}]}\n\n'
STREAM_HEAD = head(200, [("Content-Type", "text/event-stream"), ("Transfer-Encoding", "chunked")])
ENDLESS = Answer(request_received, STREAM_HEAD, endless(chunk(FRAME)))
CHAT = ask("POST", "/v1/chat/completions", body=b'{"stream":true}')


KERNEL_BYTES = 24 * MIB
"""What may lie in the kernel's buffers of four sockets; the proxy's own share is what `measured` tells."""


class Peak:
    """Most memory that Python objects took beyond what there was at the start, in bytes; set at the end."""

    bytes: int = 0


@contextlib.contextmanager
def measured() -> Iterator[Peak]:
    peak = Peak()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    try:
        yield peak
        peak.bytes = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def listening(serve: Serve) -> AsyncIterator[str]:
    """An upstream that keeps nothing of what it receives; its URL."""
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


async def connect_small(proxy: Proxy, limit: int = 1 << 16) -> RawClient:
    """A client that holds little itself."""
    return RawClient(*await asyncio.open_connection(proxy.host, proxy.port, limit=limit))


async def connect_narrow(proxy: Proxy) -> RawClient:
    """A client in whose buffers, and in the kernel's, next to nothing fits."""
    sock = socket.socket(proto=socket.IPPROTO_TCP)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, (proxy.host, proxy.port))
    return RawClient(*await asyncio.open_connection(sock=sock, limit=1024))


async def test_200_mb_are_uploaded_with_little_memory() -> None:
    blocks = 200
    sums: list[int] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        left, found = blocks * MIB, 0
        while left:
            data = await reader.read(MIB)
            found = zlib.crc32(data, found)
            left -= len(data)
        sums.append(found)
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")
        writer.close()

    async with listening(serve) as url, running_proxy(url) as proxy, await proxy.connect() as client:
        with measured() as peak:
            await client.send(ask("POST", "/v1/audio/transcriptions", ("Content-Length", str(blocks * MIB))))
            for _ in range(blocks):
                await client.send(BLOCK)
            assert (await client.head())[0] == 200
        expected = 0
        for _ in range(blocks):
            expected = zlib.crc32(BLOCK, expected)
        assert sums == [expected]
        assert peak.bytes < 6 * MIB
        assert (await proxy.only_record()).request_bytes == blocks * MIB


@pytest.mark.parametrize("framing", ["length", "one chunk", "close"])
async def test_100_mb_are_downloaded_with_little_memory(framing: str) -> None:
    blocks = 100
    size = blocks * MIB
    field = {
        "length": b"Content-Length: %d\r\n" % size,
        "one chunk": b"Transfer-Encoding: chunked\r\n",
        "close": b"Connection: close\r\n",
    }[framing]

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n" + field + b"\r\n")
        if framing == "one chunk":
            writer.write(b"%x\r\n" % size)
        for _ in range(blocks):
            writer.write(BLOCK)
            await writer.drain()
        if framing == "one chunk":
            writer.write(b"\r\n0\r\n\r\n")
        writer.close()

    async with listening(serve) as url, running_proxy(url) as proxy, await connect_small(proxy) as client:
        with measured() as peak:
            await client.send(ask("GET", "/file"))
            await client.head()
            found, left = 0, size
            if framing == "length":
                while left:
                    data = await client.reader.read(left)
                    left -= len(data)
                    found = zlib.crc32(data, found)
            else:
                async for data in client.chunks():
                    left -= len(data)
                    found = zlib.crc32(data, found)
        expected = 0
        for _ in range(blocks):
            expected = zlib.crc32(BLOCK, expected)
        assert (left, found) == (0, expected)
        assert peak.bytes < 6 * MIB
        assert (await proxy.only_record()).response_bytes == size


def has_written(connection: Connection, size: int) -> bool:
    return connection.bytes_written > size


async def standstill(server: FakeServer) -> int:
    """Wait until the upstream can write no more; how much it has written by then."""
    connection = server.connections[0]
    async with asyncio.timeout(5):
        while True:
            await server.until(lambda: connection.blocked)
            target = connection.bytes_written + MIB // 8
            try:
                await server.until(partial(has_written, connection, target), timeout_seconds=0.3)
            except TimeoutError:
                if connection.blocked:
                    return connection.bytes_written


async def test_a_client_that_stops_reading_holds_the_upstream_up() -> None:
    async with (
        FakeServer(ENDLESS, buffer_bytes=16_384) as server,
        running_proxy(server.url) as proxy,
        await connect_narrow(proxy) as client,
    ):
        with measured() as peak:
            await client.send(CHAT)
            await client.head()
            assert await standstill(server) < KERNEL_BYTES
        assert peak.bytes < 3 * MIB


def unchunked(raw: bytes) -> bytes:
    """The content of as many whole chunks as there are."""
    pieces = []
    while (end := raw.find(b"\r\n")) >= 0 and len(raw) >= (next_chunk := end + 2 + int(raw[:end], 16) + 2):
        pieces.append(raw[end + 2 : next_chunk - 2])
        raw = raw[next_chunk:]
    return b"".join(pieces)


async def test_a_client_that_reads_a_little_moves_the_upstream_a_little() -> None:
    """At about a kilobyte at a time the upstream never runs ahead; then it goes on, and nothing is out of order."""
    async with (
        FakeServer(ENDLESS, buffer_bytes=16_384) as server,
        running_proxy(server.url) as proxy,
        await connect_narrow(proxy) as client,
    ):
        await client.send(CHAT)
        await client.head()
        before = await standstill(server)
        connection = server.connections[0]
        raw = b""
        for _ in range(10):
            raw += await client.reader.read(1024)
        assert connection.bytes_written - before < MIB
        async with asyncio.timeout(5):
            while connection.bytes_written - before < MIB:
                raw += await client.reader.read(MIB)
        content = unchunked(raw)
        assert len(content) > 9_000
        assert content == (FRAME * (len(content) // len(FRAME) + 1))[: len(content)]


async def test_a_stream_to_a_slow_reader_is_complete() -> None:
    frames = [b"data: %06d " % n + b"y" * 4000 + b"\n\n" for n in range(2500)]
    answer = reply(200, [("Content-Type", "text/event-stream")], frames, framing="chunked")
    async with (
        FakeServer(answer, buffer_bytes=16_384) as server,
        running_proxy(server.url) as proxy,
        await connect_narrow(proxy) as client,
    ):
        await client.send(CHAT)
        _, fields = await client.head()
        await server.until(lambda: server.connections[0].blocked)
        assert await client.body(fields) == b"".join(frames)
        record = await proxy.only_record()
        assert (record.outcome, record.response_bytes) == (Outcome.COMPLETED, sum(map(len, frames)))


@pytest.mark.parametrize("framing", ["length", "chunked"])
async def test_an_upstream_that_stops_reading_holds_the_client_up(framing: str) -> None:
    """Only the kernel's buffers fill; then the client waits, and nothing is lost when the upstream reads again."""
    gate = asyncio.Event()
    script = Answer(stop_reading, gate, resume_reading, request_received, *reply(200, [], b"ok").steps)
    total = 40
    async with (
        FakeServer(script, buffer_bytes=16_384) as server,
        running_proxy(server.url) as proxy,
        await proxy.connect() as client,
    ):
        field = ("Content-Length", str(total * MIB)) if framing == "length" else ("Transfer-Encoding", "chunked")
        piece = BLOCK if framing == "length" else chunk(BLOCK)
        await client.send(ask("POST", "/", field) + piece + piece)
        await server.until(lambda: len(server.requests) == 1)
        sent = 2
        with measured() as peak, contextlib.suppress(TimeoutError):
            while sent < total:
                client.writer.write(piece)
                sent += 1
                async with asyncio.timeout(0.7):
                    await client.writer.drain()
        assert sent < 20
        assert peak.bytes < 5 * MIB  # the client's own writer holds up to two pieces of it
        gate.set()
        for _ in range(total - sent):
            await client.send(piece)
        if framing == "chunked":
            await client.send(b"0\r\n\r\n")
        assert (await client.head())[0] == 200
        assert server.requests[0].body == BLOCK * total


async def test_an_endless_stream_leaves_no_trace_in_memory() -> None:
    """Thousands of frames later the proxy holds what it held after the first hundreds."""
    async with (
        FakeServer(ENDLESS) as server,
        running_proxy(server.url) as proxy,
        await connect_small(proxy) as client,
    ):
        await client.send(CHAT)
        await client.head()
        chunks = client.chunks()
        for _ in range(300):
            await anext(chunks)
        with measured() as peak:
            for _ in range(2_000):
                await anext(chunks)
        assert peak.bytes < 3 * MIB
        (observation,) = proxy.active
        assert observation.retained_bytes < MIB

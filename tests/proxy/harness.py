"""A Forwarder on a real uvicorn and a free port, and a raw client: what the proxy's tests share."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest

import httpx
import uvicorn

from exporter import listeners
from exporter.keys import KeyRing
from exporter.live.active import ActiveRequests
from exporter.observe.observation import Look
from exporter.proxy.forward import Forwarder, Limits, Tracing
from exporter.proxy.gate import Gate
from exporter.proxy.transport import UpstreamTransport
from exporter.record import RequestRecord
from exporter.routing.fleet import Fleet
from exporter.routing.upstream import Upstream
from exporter.settings.routing import RoutingSettings


class Clock:
    """The monotonic clock, which a test can set forward."""

    def __init__(self) -> None:
        self.ahead_seconds = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.ahead_seconds


@dataclass
class Proxy:
    """A running proxy: where it is, and what it emitted."""

    host: str
    port: int
    forwarder: Forwarder
    transport: UpstreamTransport
    active: ActiveRequests
    fleet: Fleet
    records: list[RequestRecord] = field(default_factory=list)
    _arrived: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    @property
    def loads(self) -> dict[str, int]:
        """Requests that are in flight, by backend."""
        return {name: traffic.in_flight for name, traffic in self.fleet._traffic.items()}

    def emit(self, record: RequestRecord) -> None:
        self.records.append(record)
        self._arrived.set()

    async def until_records(self, count: int, timeout_seconds: float = 5.0) -> list[RequestRecord]:
        """Wait until so many records were emitted. Raises TimeoutError."""
        async with asyncio.timeout(timeout_seconds):
            while len(self.records) < count:
                self._arrived.clear()
                await self._arrived.wait()
        return self.records

    async def only_record(self) -> RequestRecord:
        """The record of the one request that was made; nothing may be in flight any more."""
        await self.until_records(1)
        assert len(self.records) == 1
        assert len(self.active) == 0
        return self.records[0]

    async def connect(self) -> RawClient:
        """A bare TCP connection to the proxy."""
        return RawClient(*await asyncio.open_connection(self.host, self.port, limit=1 << 24))


class RawClient:
    """Sends and reads bytes as they are."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def head(self) -> tuple[int, list[tuple[bytes, bytes]]]:
        """Status and header fields (names as sent) of the next answer."""
        block = await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 5)
        first, *lines = block[:-4].split(b"\r\n")
        fields = [(name, value.strip()) for name, _, value in (line.partition(b":") for line in lines)]
        return int(first.split()[1]), fields

    async def body(self, fields: Sequence[tuple[bytes, bytes]]) -> bytes:
        """The body that these fields announce, chunk framing removed."""
        named = {name.lower(): value for name, value in fields}
        if b"content-length" in named:
            return await asyncio.wait_for(self.reader.readexactly(int(named[b"content-length"])), 5)
        return b"".join([chunk async for chunk in self.chunks()])

    async def chunks(self) -> AsyncIterator[bytes]:
        """The chunks of a chunked body as they come."""
        while size := int(await asyncio.wait_for(self.reader.readline(), 5), 16):
            yield (await self.reader.readexactly(size + 2))[:-2]
        await self.reader.readexactly(2)

    async def exchange(self, data: bytes) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        """Send a request, read its whole answer."""
        await self.send(data)
        status, fields = await self.head()
        return status, fields, await self.body(fields)

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()

    async def rest(self) -> bytes:
        """Everything up to the end of the connection. Raises ConnectionError when it is reset."""
        return await asyncio.wait_for(self.reader.read(), 5)

    def abort(self) -> None:
        """Leave without a word: what is not yet sent is dropped."""
        self.writer.transport.abort()

    def reset(self) -> None:
        """Leave with RST."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def __aenter__(self) -> RawClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.abort()


def ask(method: str, target: str, *fields: tuple[str, str], body: bytes | None = None) -> bytes:
    """The bytes of a request: these fields behind `Host: sidecar.test`, and a Content-Length when there is a body."""
    framing = [] if body is None else [("Content-Length", str(len(body)))]
    lines = [f"{method} {target} HTTP/1.1", *(f"{n}: {v}" for n, v in [("Host", "sidecar.test"), *fields, *framing])]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + (body or b"")


class QuietServer(listeners.Server):
    """Leaves the test runner's signal handlers alone, and ends at once: uvicorn itself pauses twice for 0.1 s."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.stop = asyncio.Event()

    async def main_loop(self) -> None:
        await self.on_tick(0)
        await self.stop.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        for listener in sockets or []:
            listener.close()
        for connection in list(self.server_state.connections):
            connection.transport.abort()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextlib.asynccontextmanager
async def running_proxy(
    *upstream_urls: str,
    limits: Limits = Limits(),
    look: Look = Look(),
    keys: Sequence[str] = (),
    max_in_flight: int | None = None,
    upstream_api_key: str | None = None,
    recording: bool = True,
    tiers: Sequence[str] = (),
    routing: RoutingSettings | None = None,
    routing_headers: bool = False,
    grace_seconds: float = 5.0,
    clock: Callable[[], float] = time.monotonic,
    tracing: Tracing | None = None,
    around: Callable[[httpx.AsyncBaseTransport], httpx.AsyncBaseTransport] = lambda transport: transport,
) -> AsyncIterator[Proxy]:
    """A proxy in front of the upstreams, named u1, u2, ...; their tiers are `tiers`, and Q4 when these are used up.

    No health checks are made: only failures, and what a test tells `proxy.fleet`, say who is well. `around` makes the
    transport that is used of the one that is.
    """
    upstreams = [
        Upstream(f"u{number}", httpx.URL(url), tier=tier, api_key=upstream_api_key)
        for number, (url, tier) in enumerate(zip_longest(upstream_urls, tiers, fillvalue="Q4"), 1)
    ]
    fleet = Fleet(upstreams, routing, checked=False, clock=clock)
    transport = UpstreamTransport()
    active = ActiveRequests()
    proxies: list[Proxy] = []
    forwarder = Forwarder(
        fleet=fleet,
        transport=around(transport),
        emit=lambda record: proxies[0].emit(record),  # noqa: PLW0108 - it does not exist yet
        in_flight=active,
        gate=Gate(KeyRing(keys), max_in_flight),
        limits=limits,
        look=look,
        recording=recording,
        routing_headers=routing_headers,
        tracing=tracing,
        clock=clock,
    )
    listener = listeners.bind("127.0.0.1:0", "proxy.listen")
    host, port = listener.getsockname()
    proxies.append(Proxy(host, port, forwarder, transport, active, fleet))
    config = listeners.server([(listener, forwarder)], grace_seconds=grace_seconds).config
    server = QuietServer(config)
    serving = asyncio.get_running_loop().create_task(server.serve(sockets=[listener]))
    try:
        yield proxies[0]
    finally:
        server.stop.set()
        await transport.aclose()
        await serving
        for task in list(server.server_state.tasks):
            task.cancel()
        if server.server_state.tasks:
            await asyncio.wait(list(server.server_state.tasks), timeout=2)
    assert len({record.request_id for record in proxies[0].records}) == len(proxies[0].records)
    assert len(active) == 0
    assert not any(proxies[0].loads.values())

"""A Forwarder on a real uvicorn and a free port, and a raw client: what the proxy's tests share."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field

import httpx

from exporter import listeners
from exporter.keys import KeyRing
from exporter.live.active import ActiveRequests
from exporter.observe.observation import Look
from exporter.proxy.forward import Forwarder, Limits
from exporter.proxy.gate import Gate
from exporter.proxy.transport import UpstreamTransport
from exporter.record import RequestRecord
from exporter.routing.upstream import Upstream


@dataclass
class Proxy:
    """A running proxy: where it is, and what it emitted."""

    host: str
    port: int
    forwarder: Forwarder
    transport: UpstreamTransport
    active: ActiveRequests
    records: list[RequestRecord] = field(default_factory=list)
    _arrived: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

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

    def abort(self) -> None:
        """Leave without a word (RST)."""
        self.writer.transport.abort()


class QuietServer(listeners.Server):
    """Leaves the test runner's signal handlers alone."""

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
    grace_seconds: float = 5.0,
) -> AsyncIterator[Proxy]:
    """A proxy in front of the upstreams, named u1, u2, ...; the first is used."""
    upstreams = [
        Upstream(f"u{number}", httpx.URL(url), tier="Q4", api_key=upstream_api_key)
        for number, url in enumerate(upstream_urls, 1)
    ]
    transport = UpstreamTransport()
    active = ActiveRequests()
    proxies: list[Proxy] = []
    forwarder = Forwarder(
        choose=lambda _: upstreams,
        transport=transport,
        emit=lambda record: proxies[0].emit(record),
        in_flight=active,
        gate=Gate(KeyRing(keys), max_in_flight),
        limits=limits,
        look=look,
        recording=recording,
    )
    listener = listeners.bind("127.0.0.1:0", "proxy.listen")
    host, port = listener.getsockname()
    proxies.append(Proxy(host, port, forwarder, transport, active))
    config = listeners.server([(listener, forwarder)], grace_seconds=grace_seconds).config
    server = QuietServer(config)
    serving = asyncio.get_running_loop().create_task(server.serve(sockets=[listener]))
    try:
        yield proxies[0]
    finally:
        server.should_exit = True
        server.force_exit = True
        await transport.aclose()
        await serving
        for task in list(server.server_state.tasks):
            task.cancel()
        if server.server_state.tasks:
            await asyncio.wait(list(server.server_state.tasks), timeout=2)

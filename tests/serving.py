"""`listeners.serve` on free ports within a test, on both event loops, and raw clients of it."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
import uvloop
from websockets.frames import Frame, Opcode

from exporter import listeners
from exporter.asgi import ASGIApp
from exporter.http_protocol import Connections
from tests.proxy.harness import RawClient, ask

HANDSHAKE = (
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
)


Test = Callable[..., Coroutine[Any, Any, None]]


def on_both_loops(test: Test) -> Callable[..., None]:
    """Run a test on asyncio's own event loop, and on the one that the sidecar runs on."""
    return _on(test, {"asyncio": None, "uvloop": uvloop.Loop})


def on_our_loop(test: Test) -> Callable[..., None]:
    """Run a long test on the event loop that the sidecar runs on."""
    return _on(test, {"uvloop": uvloop.Loop})


def _on(test: Test, loops: Mapping[str, Callable[[], asyncio.AbstractEventLoop] | None]) -> Callable[..., None]:
    def run(loop_factory: Callable[[], asyncio.AbstractEventLoop] | None, **arguments: Any) -> None:
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            runner.run(test(**arguments))

    functools.update_wrapper(run, test)
    own = inspect.Parameter("loop_factory", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    signature = inspect.Signature([own, *inspect.signature(test).parameters.values()])
    run.__signature__ = signature  # type: ignore[attr-defined]
    marked: Callable[..., None] = pytest.mark.parametrize("loop_factory", loops.values(), ids=loops)(run)
    return marked


@dataclass
class Serving:
    """A running server, one port for each application."""

    ports: list[int]
    connections: Connections
    task: asyncio.Task[asyncio.Event]
    stopped: list[float] = field(default_factory=list)
    """When `on_stop` was called."""
    clients: list[RawClient] = field(default_factory=list)

    @property
    def port(self) -> int:
        return self.ports[0]

    async def connect(self, number: int = 0, receive_buffer: int | None = None) -> RawClient:
        """A bare TCP connection to one of the ports; `receive_buffer` is the client's, in bytes."""
        if receive_buffer is None:
            client = RawClient(*await asyncio.open_connection("127.0.0.1", self.ports[number]))
            self.clients.append(client)
            return client
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", self.ports[number]))
        client = RawClient(*await asyncio.open_connection(sock=sock, limit=receive_buffer))
        self.clients.append(client)
        return client

    async def open_websocket(
        self, target: str = "/", receive_buffer: int | None = None, number: int = 0
    ) -> RawWebSocket:
        """A WebSocket whose client does nothing by itself."""
        raw = await self.connect(number, receive_buffer)
        await raw.send(ask("GET", target, *HANDSHAKE))
        status, _ = await raw.head()
        assert status == 101
        return RawWebSocket(raw)

    async def until_open(self, count: int, number: int = 0) -> None:
        """Wait until so many connections are open on a port."""
        await until(lambda: self.connections.on(self.ports[number]) == count)

    async def stop(self) -> float:
        """End it as the operator does. Seconds that it took."""
        began = time.monotonic()
        signal.raise_signal(signal.SIGTERM)
        await asyncio.wait_for(self.task, 20)
        return time.monotonic() - began


@dataclass
class RawWebSocket:
    """Frames to and from the server, one by one; pings are not answered."""

    raw: RawClient

    async def read(self) -> tuple[Opcode, bytes]:
        """The next frame."""
        reader = self.raw.reader
        first, length = await asyncio.wait_for(reader.readexactly(2), 5)
        if length >= 126:
            length = int.from_bytes(await reader.readexactly({126: 2, 127: 8}[length]))
        return Opcode(first & 0x0F), await asyncio.wait_for(reader.readexactly(length), 5)

    async def text(self) -> bytes:
        """The next text."""
        opcode, payload = await self.read()
        assert opcode is Opcode.TEXT
        return payload

    async def close_code(self) -> int:
        """The code of the closing frame that comes next, behind which the connection ends."""
        opcode, payload = await self.read()
        assert opcode is Opcode.CLOSE
        assert await self.raw.rest() == b""
        return int.from_bytes(payload[:2])

    async def send(self, opcode: Opcode, payload: bytes = b"", *, fin: bool = True) -> None:
        await self.raw.send(Frame(opcode, payload, fin).serialize(mask=True))


@contextlib.asynccontextmanager
async def serving(
    *apps: ASGIApp,
    websockets: Sequence[bool] = (True,),
    grace_seconds: float = 5.0,
    on_stop: Callable[[], object] = list,
    send_buffer: int | None = None,
) -> AsyncIterator[Serving]:
    """Serve each application on a port of its own; `websockets` says which of them take WebSockets. `send_buffer` is
    that of the server's connections, in bytes."""
    sockets = [listeners.bind("127.0.0.1:0", "x.listen") for _ in apps]
    if send_buffer is not None:
        for each in sockets:
            each.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
    connections = Connections()
    stopped: list[float] = []

    def note_stop() -> None:
        stopped.append(time.monotonic())
        on_stop()

    with own_signal_handlers():
        work = listeners.serve(
            list(zip(sockets, apps, strict=True)),
            grace_seconds=grace_seconds,
            websocket_sockets=[each for each, takes in zip(sockets, websockets, strict=False) if takes],
            connections=connections,
            on_stop=note_stop,
        )
        ports = [each.getsockname()[1] for each in sockets]
        task = asyncio.get_running_loop().create_task(work)
        running = Serving(ports, connections, task, stopped)
        try:
            yield running
        finally:
            for client in running.clients:
                client.abort()
            if not task.done():
                signal.raise_signal(signal.SIGTERM)
                signal.raise_signal(signal.SIGTERM)
            await task


@contextlib.contextmanager
def own_signal_handlers() -> Iterator[None]:
    """Give the test runner its handlers back afterwards."""
    before = {each: signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


async def until(condition: Callable[[], object], timeout_seconds: float = 5.0) -> None:
    """Wait for what nobody announces. Raises TimeoutError."""
    async with asyncio.timeout(timeout_seconds):
        while not condition():
            await asyncio.sleep(0.002)

"""One accepted connection of the fake llama-server: what it received, the answers it gives, and how it ended."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, cast

from exporter.tasks import cancel, spawn
from tests.fakes.answers import Step, request_received
from tests.fakes.received import Request, RequestReader

if TYPE_CHECKING:
    from tests.fakes.llama_server import FakeServer


class Changes:
    """Lets tests wait for conditions over state that callbacks change, without polling."""

    def __init__(self) -> None:
        self._waiting: list[tuple[Callable[[], bool], asyncio.Future[None]]] = []

    def announce(self) -> None:
        """Something changed: wake those whose condition has become true."""
        for condition, waiter in self._waiting:
            if not waiter.done() and condition():
                waiter.set_result(None)

    async def wait(self, condition: Callable[[], bool]) -> None:
        """Return as soon as the condition holds."""
        if condition():
            return
        entry = (condition, asyncio.get_running_loop().create_future())
        self._waiting.append(entry)
        try:
            await entry[1]
        finally:
            self._waiting.remove(entry)


class Connection(asyncio.Protocol):
    """One accepted connection: reads requests, runs their answers one after the other, records how it ended."""

    def __init__(self, server: FakeServer) -> None:
        self.number = 0
        self.peer_closed_at: float | None = None
        """Loop time at which the peer closed or reset it; not noticed while reading is paused."""
        self.closed = False
        self.bytes_written = 0
        """Bytes given to the socket or waiting for it."""
        self.blocked = False
        """The peer does not read: too many bytes are waiting."""
        self.transport: asyncio.Transport
        self.current: Request
        """The request that is being answered."""
        self._server = server
        self._reader = RequestReader(0)
        self._closing = False
        self._task: asyncio.Task[None] | None = None
        self._idle_timer: asyncio.TimerHandle | None = None

    @property
    def requests(self) -> list[Request]:
        """The requests received on this connection."""
        return self._reader.requests

    @property
    def next_has_begun(self) -> bool:
        """Bytes have arrived behind the request that is being answered."""
        return self.current.complete and (self._reader.buffered_bytes > 0 or self.requests[-1] is not self.current)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for something that this server can see to become true."""
        await self._server.changes.wait(condition)

    async def write(self, piece: bytes) -> None:
        """Write one piece in a loop turn of its own, and wait while the peer does not read."""
        self.transport.write(piece)
        self.bytes_written += len(piece)
        await asyncio.sleep(0)
        await self.until(lambda: not self.blocked)

    def close(self) -> None:
        """Send what is left, then FIN (RST by the kernel when bytes lie unread)."""
        self._closing = True
        self.transport.close()

    def reset(self) -> None:
        """Drop what is left and send RST."""
        self._closing = True
        sock = cast(socket.socket, self.transport.get_extra_info("socket"))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    # What asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.number = self._server.admit(self)
        self._reader = RequestReader(self.number)
        self._task = spawn(self._answer_all(), name=f"fake connection {self.number}")

    def data_received(self, data: bytes) -> None:
        self._stop_idle_timer()
        try:
            self._server.requests += self._reader.feed(data, asyncio.get_running_loop().time())
        except ValueError as error:
            self._fail(error)
        self._server.changes.announce()

    def eof_received(self) -> None:
        self._end(by_peer=True)

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        self._end(by_peer=not self._closing)

    def pause_writing(self) -> None:
        self.blocked = True
        self._server.changes.announce()

    def resume_writing(self) -> None:
        self.blocked = False
        self._server.changes.announce()

    # Answering

    async def _answer_all(self) -> None:
        try:
            for answered in count():
                await self._server.changes.wait(partial(self._has_more_than, answered))
                await self._answer(self.requests[answered])
                if self._closing:
                    return
                if answered + 1 == self._server.max_requests:
                    self.close()
                    return
        except Exception as error:
            self._fail(error)

    def _has_more_than(self, answered: int) -> bool:
        return len(self.requests) > answered

    async def _answer(self, request: Request) -> None:
        self.current = request
        for step in self._server.choose(request).steps:
            await self._take(step)
            if self._closing:
                break
        request.answered_at = asyncio.get_running_loop().time()
        self._server.changes.announce()
        if self._closing:
            return
        await request_received(self)
        if request.wants_close:
            self.close()
        elif not self.next_has_begun:
            self._start_idle_timer()

    async def _take(self, step: Step) -> None:
        if isinstance(step, bytes):
            await self.write(step)
        elif isinstance(step, asyncio.Event):
            await step.wait()
        else:
            await step(self)

    def _start_idle_timer(self) -> None:
        if self._server.idle_seconds is not None:
            self._idle_timer = asyncio.get_running_loop().call_later(self._server.idle_seconds, self.close)

    def _stop_idle_timer(self) -> None:
        if self._idle_timer is not None:
            self._idle_timer.cancel()

    def _fail(self, error: Exception) -> None:
        self._server.errors.append(error)
        self.reset()

    def _end(self, *, by_peer: bool) -> None:
        self._stop_idle_timer()
        if by_peer and self.peer_closed_at is None:
            self.peer_closed_at = asyncio.get_running_loop().time()
            for request in self.requests:
                if request.answered_at is None:
                    request.peer_closed_at = self.peer_closed_at
        if self._task is not None:
            self._task.cancel()
        self._server.changes.announce()

    async def stop(self) -> None:
        """End it, whatever it was doing, as the server is going away."""
        self._closing = True
        self.transport.abort()
        if self._task is not None:
            await cancel(self._task)

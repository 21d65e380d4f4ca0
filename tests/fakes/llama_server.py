"""A scriptable fake llama-server, for the faults that a real one cannot be made to show on demand.

`FakeServer` listens on a free loopback port, records exactly what it received, and answers with raw bytes by script: an
`Answer` is a row of steps (`answers.py`): bytes to write, an event to wait for, or an act like `close` or `reset`.

    async with FakeServer([json_reply({"ok": True}).then(next_byte, reset), json_reply({"ok": True})]) as server:
        ...  # the second request on the first connection dies before any byte of an answer
        assert [request.connection for request in server.requests] == [1, 2]
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from types import TracebackType

from tests.fakes.answers import Answer, Script
from tests.fakes.connection import Changes, Connection
from tests.fakes.received import Request


class FakeServer:
    """The listener and its records. An error in a script is raised when the `async with` block ends.

    `max_requests`: close a connection after so many answers; `idle_seconds`: close one that has been silent for so long
    after an answer; `buffer_bytes`: size of the kernel's buffers (it doubles the number), so that little stays in them.
    """

    def __init__(
        self,
        script: Script,
        *,
        max_requests: int | None = None,
        idle_seconds: float | None = None,
        buffer_bytes: int | None = None,
    ) -> None:
        self.script = script
        """May be replaced at any time."""
        self.max_requests = max_requests
        self.idle_seconds = idle_seconds
        self.requests: list[Request] = []
        """All requests in the order in which their heads were complete."""
        self.connections: list[Connection] = []
        self.errors: list[Exception] = []
        self.changes = Changes()
        self.port = 0
        self._buffer_bytes = buffer_bytes
        self._listener: asyncio.Server | None = None
        self._chosen = 0

    @property
    def url(self) -> str:
        """Base URL without a trailing slash."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def live(self) -> int:
        """Connections that are open now."""
        return sum(not connection.closed for connection in self.connections)

    async def until(self, condition: Callable[[], bool], timeout_seconds: float = 5.0) -> None:
        """Wait for a condition over what is recorded here. Raises TimeoutError."""
        async with asyncio.timeout(timeout_seconds):
            await self.changes.wait(condition)

    async def stop_listening(self) -> None:
        """Refuse new connections; open ones live on."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def admit(self, connection: Connection) -> int:
        """Enter a new connection and number it; called by `Connection`."""
        self.connections.append(connection)
        self.changes.announce()
        return len(self.connections)

    def choose(self, request: Request) -> Answer:
        """The answer that the script has for a request; called by `Connection`."""
        script = self.script
        if isinstance(script, Answer):
            return script
        if callable(script):
            return script(request)
        self._chosen += 1
        return script[min(self._chosen, len(script)) - 1]

    async def __aenter__(self) -> FakeServer:
        sock = socket.socket(proto=socket.IPPROTO_TCP)  # asyncio sets TCP_NODELAY where it knows the protocol
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if self._buffer_bytes is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._buffer_bytes)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, self._buffer_bytes)
        sock.bind(("127.0.0.1", 0))
        self.port = sock.getsockname()[1]
        self._listener = await asyncio.get_running_loop().create_server(lambda: Connection(self), sock=sock)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop_listening()
        for connection in self.connections:
            await connection.stop()
        await self.until(lambda: self.live == 0)
        if kind is None and self.errors:
            raise self.errors[0]

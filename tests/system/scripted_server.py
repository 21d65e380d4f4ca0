"""A small HTTP server that says exactly what a test tells it to, well-formed or not, and keeps what it was asked."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

REASONS = {200: "OK", 404: "Not Found", 501: "Not Implemented", 503: "Service Unavailable"}
TLS_HANDSHAKE = b"\x16"


@dataclass(slots=True)
class Reply:
    """One answer. `raw` replaces all of it; `after` is waited for before anything is sent."""

    status: int = 200
    body: bytes = b""
    raw: bytes | None = None
    after: asyncio.Event | None = None


def json_reply(document: object, status: int = 200) -> Reply:
    return Reply(status, json.dumps(document).encode())


@dataclass(slots=True)
class ScriptedServer:
    """`replies` by target (path, and query where it matters); the rest is 404. All of it may change any time."""

    replies: dict[str, Reply] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    """Targets in the order in which they were asked."""
    heads: list[str] = field(default_factory=list)
    keep_alive: bool = True
    die_on_reuse: bool = False
    """Close without an answer when a second request arrives on one connection."""
    port: int = 0
    connections: int = 0
    _open: list[asyncio.StreamWriter] = field(default_factory=list)
    _handlers: list[asyncio.Task[None]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def take_asked(self) -> list[str]:
        """What was asked since the last time."""
        asked, self.asked = self.asked, []
        return asked

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._open.append(writer)
        if (handler := asyncio.current_task()) is not None:
            self._handlers.append(handler)
        served = 0
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while await self._answer(await _read_head(reader), writer, first=served == 0):
                served += 1
        writer.close()

    async def _answer(self, head: bytes, writer: asyncio.StreamWriter, *, first: bool) -> bool:
        if self.die_on_reuse and not first:
            return False
        if head.startswith(TLS_HANDSHAKE):
            writer.write(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
            await writer.drain()
            return False
        target = head.split(b" ", 2)[1].decode()
        self.asked.append(target)
        self.heads.append(head.decode())
        reply = self.replies.get(target, Reply(404, b'{"error":{"code":404,"message":"File Not Found"}}'))
        if reply.after is not None:
            await reply.after.wait()
        if reply.raw is not None:
            writer.write(reply.raw)
            await writer.drain()
            return False
        connection = "keep-alive" if self.keep_alive else "close"
        line = f"HTTP/1.1 {reply.status} {REASONS.get(reply.status, 'Said so')}\r\n"
        headers = f"Content-Length: {len(reply.body)}\r\nConnection: {connection}\r\n\r\n"
        writer.write((line + headers).encode() + reply.body)
        await writer.drain()
        return self.keep_alive

    def drop_connections(self) -> None:
        for writer in self._open:
            writer.close()

    async def end(self) -> None:
        """Let go of everyone who is kept waiting, and wait for the handlers to notice."""
        for reply in self.replies.values():
            if reply.after is not None:
                reply.after.set()
        self.drop_connections()
        if self._handlers:
            await asyncio.wait(self._handlers)


async def _read_head(reader: asyncio.StreamReader) -> bytes:
    first = await reader.readexactly(1)
    return first if first == TLS_HANDSHAKE else first + await reader.readuntil(b"\r\n\r\n")


Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def raw_server(talk: Talk) -> AsyncIterator[int]:
    """For faults below HTTP: `talk` has each connection, and must end when its client leaves. Gives the port."""
    handlers: list[asyncio.Task[None]] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if (handler := asyncio.current_task()) is not None:
            handlers.append(handler)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await talk(reader, writer)
        writer.close()

    async with await asyncio.start_server(handle, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]
        if handlers:
            await asyncio.wait(handlers)


@contextlib.asynccontextmanager
async def scripted_server(**replies: Reply) -> AsyncIterator[ScriptedServer]:
    """Listens on a free port; keywords are paths without the slash."""
    script = ScriptedServer({f"/{path}": reply for path, reply in replies.items()})
    server = await asyncio.start_server(script.serve, "127.0.0.1", 0)
    script.port = server.sockets[0].getsockname()[1]
    try:
        yield script
    finally:
        server.close()
        await script.end()
        await server.wait_closed()

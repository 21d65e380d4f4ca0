"""A router that does what no test can make a real one do: hang, refuse, lie, be old. By default it loads at once."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

Answer = tuple[int, object]


class RefusedFileError(Exception):
    """What `on_reload` raises for a preset file that the router does not take."""


@dataclass
class FakeRouter:
    """What it lists, and how it answers; all of it can be changed at any time."""

    states: dict[str, dict[str, Any]] = field(default_factory=dict)
    """`status` of each model."""
    answers: dict[str, Answer | bytes] = field(default_factory=dict)
    """By path: an answer other than its own, or raw bytes for the whole of it."""
    held: dict[str, asyncio.Event] = field(default_factory=dict)
    """By path: not answered before this is set."""
    on_reload: Callable[[], None] = lambda: None
    has_events: bool = True
    asked: list[str] = field(default_factory=list)
    """`POST /models/load a`, in their order; lists left out."""
    heads: list[str] = field(default_factory=list)
    port: int = 0
    _listeners: list[asyncio.StreamWriter] = field(default_factory=list)
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)
    _server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def listeners(self) -> int:
        return len(self._listeners)

    @contextlib.asynccontextmanager
    async def run(self) -> AsyncIterator[FakeRouter]:
        await self.start()
        try:
            yield self
        finally:
            await self.stop()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """As a router that ends: every connection with it."""
        if self._server is not None:
            self._server.close()
        for event in self.held.values():
            event.set()
        self._listeners.clear()
        for writer in list(self._writers):
            writer.close()
        while self._writers:
            await asyncio.sleep(0)

    def tell(self, model: str, data: dict[str, Any], event: str = "status_change") -> None:
        """To all who listen."""
        self.write(b"data: " + json.dumps({"model": model, "event": event, "data": data}).encode() + b"\n\n")

    def write(self, content: bytes) -> None:
        for writer in self._listeners:
            writer.write(b"%x\r\n%s\r\n" % (len(content), content))

    def hang_up(self) -> None:
        """End the streams of events, nothing else."""
        for writer in self._listeners:
            writer.close()
        self._listeners.clear()

    def document(self) -> dict[str, Any]:
        return {
            "object": "list",
            "data": [
                {"id": name, "aliases": status.get("aliases", []), "source": status.get("source"), "status": status}
                for name, status in self.states.items()
            ],
        }

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                if await self._answer(reader, writer):
                    await reader.read()  # until the other side has gone
        finally:
            writer.close()
            self._writers.discard(writer)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request; whether the answer goes on."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.heads.append(head)
        method, target, _ = head.split("\r\n")[0].split(" ")
        length = next((int(line[16:]) for line in head.split("\r\n") if line.lower().startswith("content-length:")), 0)
        name = json.loads(await reader.readexactly(length))["model"] if length else ""
        path = target.partition("?")[0]
        if method == "POST" or "?" in target:
            self.asked.append(f"{method} {target} {name}".strip())
        if target in self.held:
            await self.held[target].wait()
        given = self.answers.get(target)
        if isinstance(given, bytes):
            writer.write(given)
            return True
        if path == "/models/sse" and self.has_events:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
            self._listeners.append(writer)
            return True
        status, document = given or self._do(target, name)
        body = json.dumps(document).encode()
        writer.write(b"HTTP/1.1 %d OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (status, len(body), body))
        await writer.drain()
        return False

    def _do(self, target: str, name: str) -> Answer:
        if target == "/models?reload=1":
            try:
                self.on_reload()
            except RefusedFileError as error:
                return 500, {"error": {"message": str(error), "code": 500}}
        if target.startswith("/models?") or target == "/models":
            return 200, self.document()
        if target == "/models/load":
            return self._load(name)
        if target == "/models/unload":
            self.states[name] = {"value": "unloaded"}
            self.tell(name, {"status": "unloaded", "exit_code": 0})
            return 200, {"success": True}
        return 404, {"error": {"message": "File Not Found", "code": 404}}

    def _load(self, name: str) -> Answer:
        if name not in self.states:
            return 404, {"error": {"message": "File Not Found", "code": 404}}
        if self.states[name]["value"] != "unloaded":
            return 400, {"error": {"message": "model is already running", "code": 400}}
        self.tell(name, {"status": "loading"}, "model_status")
        self.states[name] = {"value": "loaded"}
        self.tell(name, {"status": "loaded"})
        return 200, {"success": True}

"""A real HTTP server in a thread that takes records as the sidecar does; tests hold it up, stop it, and read it."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from dataclasses import dataclass, field
from typing import Any, Self

from exporter.asgi import Receive, Scope, Send
from tests.client.threaded import ThreadedServer, wait_until

"""Longest wait for something that must happen."""


@dataclass
class Reply:
    """How one request is answered."""

    status: int = 202
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b'{"recorded":true}'


class Recorder:
    """`with Recorder(port) as recorder: recorder.url`; `answers` are given first, one request each."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self._server = ThreadedServer(port)
        self.is_open = threading.Event()
        """Cleared, it takes requests and does not answer them."""
        self.reset()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.is_open.set()
        self.stop()

    def reset(self) -> None:
        """As if it had just been started."""
        self.received: list[tuple[str, Any]] = []
        """Path and body of every request that was answered with 202, in that order."""
        self.keys: list[str | None] = []
        self.times: list[float] = []
        """When each request came."""
        self.clients: set[tuple[str, int]] = set()
        self.answers: list[Reply] = []
        self.is_open.set()

    def start(self) -> None:
        self._server.serve(self._serve)

    def stop(self) -> None:
        """Nobody listens any more, and every connection is closed."""
        self._server.stop()

    def bodies(self, what: str) -> list[Any]:
        return [body for path, body in self.received if path == f"/api/metrics/record/{what}"]

    def wait_for(self, count: int) -> None:
        wait_until(lambda: len(self.received) >= count)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        self.times.append(time.monotonic())
        self.clients.add(scope["client"])
        while not self.is_open.is_set():
            await asyncio.sleep(0.002)
        reply = self.answers.pop(0) if self.answers else Reply()
        if reply.status == 202:
            self._take(scope, body)
        headers = {"content-type": "application/json", "content-length": str(len(reply.body)), **reply.headers}
        fields = [(name.encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": reply.status, "headers": fields})
        await send({"type": "http.response.body", "body": reply.body})

    def _take(self, scope: Scope, body: bytes) -> None:
        headers = dict(scope["headers"])
        assert scope["method"] == "POST"
        assert headers[b"content-type"] == b"application/json"
        self.keys.append(headers[b"x-api-key"].decode() if b"x-api-key" in headers else None)
        self.received.append((scope["path"], json.loads(body)))

"""A real server in a thread that speaks the model manager's contract: its pages by Starlette, its live events by
python-socketio. Tests say how it answers, and read what it was asked."""

from __future__ import annotations

import asyncio
import json
import threading
from dataclasses import dataclass, field
from typing import Any, Self

import socketio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests import nextjs_document as shown
from tests.client.threaded import LIMIT_SECONDS, ThreadedServer

PAGES: dict[tuple[str, str], tuple[int, Any]] = {
    ("GET", "/api/models"): (200, shown.MODELS),
    ("POST", "/api/models"): (200, shown.REGISTERED),
    ("POST", "/api/models/discover"): (200, shown.DISCOVERED),
    ("GET", "/api/models/{name:path}"): (200, {"success": True, "data": shown.MODEL}),
    ("PUT", "/api/models/{name:path}"): (200, shown.MODEL),
    ("DELETE", "/api/models/{name:path}"): (200, shown.REMOVED),
    ("POST", "/api/models/{name:path}/load"): (202, shown.LOADING),
    ("POST", "/api/models/{name:path}/unload"): (202, shown.UNLOADING),
    ("GET", "/api/config"): (200, shown.CONFIG),
    ("POST", "/api/config"): (200, shown.CONFIGURED),
    ("GET", "/api/monitoring"): (200, shown.MONITORING),
    ("GET", "/api/monitoring/history"): (200, shown.HISTORY),
    ("GET", "/api/parameters"): (200, shown.CATEGORIES),
    ("GET", "/api/parameters/category/{name}"): (200, shown.PARAMETER),
    ("GET", "/api/parameters/{category}"): (200, shown.PARAMETERS),
    ("POST", "/api/parameters/{category}"): (200, shown.PARAMETERS_CHANGED),
    ("GET", "/api/health"): (200, shown.HEALTH),
    ("GET", "/api/status"): (200, shown.STATUS),
}


@dataclass(frozen=True)
class Asked:
    """A request that came."""

    method: str
    path: str
    """As it was written, escapes and all, with the query."""
    body: Any
    name: str | None
    """Of the model or parameter, as the route found it."""
    headers: dict[str, str]


@dataclass
class Reply:
    """How one request is answered."""

    status: int
    document: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    text: str | None = None
    """Instead of the document."""


class Manager:
    """`with Manager(port) as manager: manager.url`; `answers` are given first, one request each."""

    def __init__(self, port: int, ping_seconds: float = 25.0) -> None:
        self.port = port
        self._server = ThreadedServer(port)
        self.url = f"http://127.0.0.1:{port}"
        self.asked: list[Asked] = []
        self.answers: list[Reply] = []
        self.handshakes: list[Reply] = []
        """Answers to requests of Socket.IO that open a session."""
        self.is_open = threading.Event()
        """Cleared, it takes requests and does not answer them."""
        self.is_open.set()
        self.left: list[str] = []
        """Why listeners have left."""
        self.polls: list[str] = []
        """Methods of all requests of Socket.IO."""
        self.ping_seconds = ping_seconds
        self.refused_namespace = False

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.is_open.set()
        self.stop()

    def start(self) -> None:
        self.listeners: list[str] = []
        self._live = socketio.AsyncServer(
            async_mode="asgi", ping_interval=self.ping_seconds, ping_timeout=20, monitor_clients=False
        )
        self._live.on("connect", self._join, namespace="/metrics")
        self._live.on("disconnect", self._leave, namespace="/metrics")
        routes = [Route(path, self._page(*answer), methods=[method]) for (method, path), answer in ordered()]
        app = socketio.ASGIApp(self._live, Starlette(routes=routes))

        async def serve(scope: Any, receive: Any, send: Any) -> None:
            if scope["path"].startswith("/socket.io/"):
                self.polls.append(scope["method"])
                if b"sid=" not in scope["query_string"] and self.handshakes:
                    reply = self.handshakes.pop(0)
                    await response(reply)(scope, receive, send)
                    return
            await app(scope, receive, send)

        self._server.serve(serve, date_header=False)

    def stop(self) -> None:
        """Nobody listens any more, and every connection is closed."""
        self._server.stop()

    def emit(self, value: Any, event: str = "metrics:update") -> None:
        """Tell all listeners."""
        self._do(self._live.emit(event, value, namespace="/metrics"))

    def expel(self) -> None:
        """End all connections to the namespace."""
        for each in self.listeners:
            self._do(self._live.disconnect(each, namespace="/metrics"))

    def forget(self) -> None:
        """Know no session any more, as after a restart."""
        self._live.eio.sockets.clear()

    def _do(self, work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, self._server.loop).result(LIMIT_SECONDS)

    async def _join(self, sid: str, _: object) -> bool:
        if self.refused_namespace:
            return False
        self.listeners.append(sid)
        return True

    async def _leave(self, sid: str, reason: str) -> None:
        self.listeners.remove(sid)
        self.left.append(reason)

    def _page(self, status: int, document: Any) -> Any:
        async def page(request: Request) -> Response:
            body = await request.body()
            target = request.scope["raw_path"].decode()
            query = request.url.query
            name = request.path_params.get("name", request.path_params.get("category"))
            said = json.loads(body) if body else None
            path = f"{target}?{query}" if query else target
            self.asked.append(Asked(request.method, path, said, name, dict(request.headers)))
            while not self.is_open.is_set():
                await asyncio.sleep(0.002)
            return response(self.answers.pop(0) if self.answers else Reply(status, document))

        return page


def ordered() -> list[tuple[tuple[str, str], tuple[int, Any]]]:
    """Longer paths first: `/load` must not be taken for part of a name."""
    return sorted(PAGES.items(), key=lambda page: ("{" in page[0][1], -page[0][1].count("/")))


def response(reply: Reply) -> Response:
    if reply.text is not None:
        return Response(reply.text, reply.status, reply.headers, media_type="text/html")
    return JSONResponse(reply.document, reply.status, reply.headers)

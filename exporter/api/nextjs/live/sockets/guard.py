"""What stands between the listener and the library: only requests, and only packets, that the library can deal with
come through."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from urllib.parse import parse_qs

from starlette.exceptions import HTTPException
from starlette.requests import Request

from exporter.api.documents import NO_CACHE, read_body
from exporter.api.nextjs.live.sockets.library import PACKETS_PER_POST
from exporter.api.nextjs.live.sockets.server import SESSION, SocketServer
from exporter.asgi import Message, Receive, Scope, Send
from exporter.websocket_protocol import MESSAGE_LIMIT_BYTES

FRAMES_ALLOWED = 3000
BYTES_ALLOWED = 32 * MESSAGE_LIMIT_BYTES
"""What a client may say in `websocket_protocol.ALLOWANCE_SECONDS` before its WebSocket is closed: enough for it to be
told first, by `RATE_LIMITED`, that it says too much."""
UPGRADE_SECONDS = 10.0
"""From the connection of a WebSocket for a session to its being used; Engine.IO's own."""
SEPARATOR = "\x1e"
FIELDS = 20
FULL = "too many clients are connected, or the sidecar stops; live.max_readers says how many may be"
TRY_AGAIN = {"retry-after": "5"}
SAYABLE = ("40", "41", "42")
"""How messages begin: coming, going, and events without binary attachments."""
PROBE, UPGRADE = "2probe", "5"


class Guard:
    """A path of Socket.IO as an ASGI application. What it refuses has the form of the room's errors."""

    def __init__(self, server: SocketServer) -> None:
        self._server = server
        self._polling: set[str] = set()
        """Sessions for which a request waits."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        session = self._check(scope, _query(scope))
        if session is None:
            receive = _again(await receive(), receive)
            if self._server.lobby.is_full:
                raise HTTPException(503, FULL, TRY_AGAIN)
        if scope["type"] == "websocket":
            await self._over_websocket(scope, receive, send, session)
        elif scope["method"] == "POST":
            await self._take(scope, receive, send)
        else:
            await self._give(scope, receive, send, session)

    def _check(self, scope: Scope, query: Mapping[str, str]) -> str | None:
        """The session that is meant; None for a handshake. Raises HTTPException."""
        is_socket, session = scope["type"] == "websocket", query.get("sid")
        if not is_socket and scope["method"] not in ("GET", "POST"):
            raise HTTPException(405, "Socket.IO is spoken with GET and POST", {"allow": "GET, POST"})
        transport = query.get("transport", "polling")
        if transport not in self._server.transports:
            raise HTTPException(400, f"the transports here are {', '.join(sorted(self._server.transports))}")
        if (transport == "websocket") != is_socket or "j" in query:
            raise HTTPException(400, "the request does not fit its transport")
        if session is not None and not self._server.polls(session):
            raise HTTPException(400, "there is no such session, or it has a WebSocket")
        if session is None and (query.get("EIO") != "4" or not (is_socket or scope["method"] == "GET")):
            raise HTTPException(400, "clients must speak Engine.IO 4, which Socket.IO 3 and 4 do")
        return session

    async def _over_websocket(self, scope: Scope, receive: Receive, send: Send, session: str | None) -> None:
        """A session over a WebSocket, from its beginning or from now on."""
        if "allow" in scope:
            scope["allow"](FRAMES_ALLOWED, BYTES_ALLOWED)
        hearing = _Hearing(receive, lambda: self._server.upgraded(session, scope) if session else None)
        hearing.upgrading = session is not None
        try:
            await self._server.library.handle_request(scope, hearing.receive, send)
        finally:
            if session is None or not hearing.upgrading:
                await self._server.let_go(session or scope.get(SESSION, ""))
            else:
                self._server.stay(session)

    async def _take(self, scope: Scope, receive: Receive, send: Send) -> None:
        """What a client that polls has to say."""
        try:
            text = (await read_body(Request(scope, receive), MESSAGE_LIMIT_BYTES)).decode()
        except UnicodeDecodeError:
            raise HTTPException(400, "the body is not UTF-8") from None
        packets = text.split(SEPARATOR)
        if len(packets) > PACKETS_PER_POST:
            raise HTTPException(413, f"more than {PACKETS_PER_POST} packets")
        body = SEPARATOR.join(packet for packet in packets if is_packet(packet)).encode()
        told = _again({"type": "http.request", "body": body, "more_body": False}, receive)
        await self._server.library.handle_request(_plain(scope, len(body)), told, _uncached(send))

    async def _give(self, scope: Scope, receive: Receive, send: Send, session: str | None) -> None:
        """What a client that polls is told: at its handshake, or as soon as there is something."""
        if session is None:
            await self._server.library.handle_request(_plain(scope), receive, _uncached(send))
            return
        if session in self._polling:
            raise HTTPException(400, "another request of this session waits already")
        self._polling.add(session)
        try:
            await self._server.library.handle_request(_plain(scope), receive, _uncached(send))
        finally:
            self._polling.discard(session)


class _Hearing:
    """What comes over a WebSocket, without what is no packet."""

    def __init__(self, receive: Receive, on_upgrade: Callable[[], None]) -> None:
        self.upgrading = False
        """Whether the session still polls."""
        self._receive = receive
        self._on_upgrade = on_upgrade
        self._until = asyncio.get_running_loop().time() + UPGRADE_SECONDS

    async def receive(self) -> Message:
        """The next packet, or that the client is gone, as one is that does not get on."""
        while True:
            message = await self._next()
            if message["type"] != "websocket.receive":
                return message
            text = message.get("text") or ""
            if self.upgrading and text == UPGRADE:
                self.upgrading = False
                self._on_upgrade()
                return message
            if is_packet(text) or (self.upgrading and text == PROBE):
                return message

    async def _next(self) -> Message:
        if not self.upgrading:
            return await self._receive()
        try:
            async with asyncio.timeout_at(self._until):
                return await self._receive()
        except TimeoutError:
            return {"type": "websocket.disconnect", "code": 1005}


def is_packet(text: str) -> bool:
    """Whether it is an Engine.IO packet that a client may send: a message, the answer to a ping, or its farewell.

    The library would take apart what stands behind any other digit, with whatever comes of that.
    """
    return text.startswith(SAYABLE) or text in ("1", "3")


def _query(scope: Scope) -> dict[str, str]:
    """The first value of each field. Raises HTTPException."""
    try:
        fields = parse_qs(scope["query_string"].decode("ascii"), max_num_fields=FIELDS)
    except ValueError:
        raise HTTPException(400, "the query cannot be read") from None
    return {name: values[0] for name, values in fields.items()}


def _again(first: Message, receive: Receive) -> Receive:
    """Receives `first`, and then what comes."""
    kept = [first]

    async def next_one() -> Message:
        return kept.pop() if kept else await receive()

    return next_one


def _plain(scope: Scope, length: int = 0) -> Scope:
    """The request without an offer to speak something else, and with another length of its body."""
    dropped = (b"upgrade", b"content-length", b"transfer-encoding")
    fields = [field for field in scope["headers"] if field[0] not in dropped]
    return {**scope, "headers": [*fields, (b"content-length", str(length).encode())]}


def _uncached(send: Send) -> Send:
    """Sends what nobody may cache."""
    fields = [(name.encode(), value.encode()) for name, value in NO_CACHE.items()]

    async def forward(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], *fields]}
        await send(message)

    return forward

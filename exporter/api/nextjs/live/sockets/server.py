"""The Socket.IO server of one path: it knows its clients, tells the namespaces who comes, goes and says what, and gets
rid of those who do not keep up. `guard` puts the listener's requests in front of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

from exporter.api.nextjs.live.sockets.audience import Namespace
from exporter.api.nextjs.live.sockets.clients import Client, Lobby
from exporter.api.nextjs.live.sockets.library import SocketIO
from exporter.api.nextjs.live.sockets.packets import DEFAULT, closing, error_packet, packet
from exporter.asgi import Scope
from exporter.websocket_protocol import text_frame

log = logging.getLogger(__name__)

WATCH_SECONDS = 2.0
STALL_SECONDS = 60.0
"""A client whose outbox was too full for so long is cut off."""
WARNING_SECONDS = 1.0
BACK_IN_MS = 5000
UNKNOWN_EVENT = "there is no such event here"
SESSION = "engineio.session"
"""Key of a request's scope: the session that it has begun."""


class SocketServer:
    """One path. `transports` are those of Engine.IO that may be used."""

    def __init__(self, lobby: Lobby, namespaces: Sequence[Namespace], transports: Sequence[str]) -> None:
        self.lobby = lobby
        self.transports = frozenset(transports)
        self._begun = asyncio.Event()
        self._namespaces = {each.name: each for each in namespaces}
        self.library = SocketIO(self, namespaces, transports)

    def polls(self, session: str) -> bool:
        """Whether there is such a session, over this path, and it has no WebSocket yet."""
        socket = self.library.eio.sockets.get(session)
        return socket is not None and not socket.upgraded

    def connected(self, session: str, scope: Scope) -> None:
        """A session has begun."""
        scope[SESSION] = session
        client = Client(session, self.library.eio.sockets[session], self.lobby.traffic)
        self.lobby.add(client)
        self._begun.set()
        if scope["type"] == "websocket":
            self.upgraded(session, scope)

    def upgraded(self, session: str, scope: Scope) -> None:
        """A session has a WebSocket now."""
        client = self.lobby.get(session)
        if client is not None:
            client.abort, client.write = scope.get("abort"), scope.get("write")
            client.reads_only |= scope.get("reads_only", False)

    def disconnected(self, session: str) -> None:
        """A session is over."""
        self.lobby.remove(session)

    def joined(self, session: str, namespace: Namespace) -> None:
        """A client has come into a namespace."""
        client = self.lobby.get(session)
        if client is None:
            return
        namespace.audience.add(client)
        try:
            namespace.joined(client)
        except Exception:
            log.exception("a client could not be told how things are", extra={"namespace": namespace.name})

    def left(self, session: str, namespace: Namespace) -> None:
        """It has left it."""
        client = self.lobby.get(session)
        if client is not None:
            namespace.audience.discard(client)
            namespace.left(client)

    def admits(self, session: str, message: Any) -> bool:
        """Whether a message is listened to: not when there were too many, of which the client is told."""
        client, now = self.lobby.get(session), self.lobby.clock()
        if client is None:
            return False
        self.lobby.traffic.note()
        if client.minute.take(now):
            return True
        if now - client.warned_at >= WARNING_SECONDS:
            client.warned_at = now
            self._warn(client, _namespace_of(message), client.minute.left_seconds(now))
        return False

    def heard(self, session: str, namespace: str, said: Any) -> Any:
        """A client has said something. Returned is what it is to be acknowledged with."""
        client, found = self.lobby.get(session), self._namespaces.get(namespace)
        if client is None or found is None or client not in found.audience:
            return None
        if not isinstance(said, list) or not said or not isinstance(said[0], str):
            client.send(error_packet(namespace, "VALIDATION_ERROR", "an event has a name"))
            return None
        try:
            return found.heard(client, said[0], said[1:])
        except Exception:
            log.exception("an event could not be dealt with", extra={"namespace": namespace})
            client.send(error_packet(namespace, "INTERNAL_ERROR", "the sidecar failed; its log says why"))
            return None

    async def watch(self) -> None:
        """Let go of clients that have left without a word, or do not keep up."""
        while True:
            await self._begun.wait()
            self._begun.clear()
            while self.library.eio.sockets:
                await asyncio.sleep(WATCH_SECONDS)
                for session, socket in list(self.library.eio.sockets.items()):
                    await self._look_at(session, socket)

    async def let_go(self, session: str) -> None:
        """End a session, whatever state it is in; the library may have left it half open."""
        socket = self.library.eio.sockets.pop(session, None)
        if socket is not None:
            await socket.close(wait=False, abort=True)
            socket.queue.put_nowait(None)

    def stay(self, session: str) -> None:
        """A session goes on polling: its WebSocket was not used after all."""
        socket = self.library.eio.sockets.get(session)
        if socket is not None:
            socket.upgrading = False

    def close(self) -> None:
        """Tell everybody that the sidecar stops, and end requests that wait for something to tell; the listener closes
        the WebSockets."""
        message = {"code": "CONNECTION_LOST", "message": "the sidecar stops", "reconnect": True, "retryIn": BACK_IN_MS}
        last = packet(DEFAULT, "error", message)
        default = self._namespaces.get(DEFAULT)
        for session, socket in list(self.library.eio.sockets.items()):
            client = self.lobby.get(session)
            if client is not None and default is not None and client in default.audience:
                _say_last(client, last)
            socket.queue.put_nowait(closing())
            socket.queue.put_nowait(None)

    async def _look_at(self, session: str, socket: Any) -> None:
        client = self.lobby.get(session)
        if socket.closed or client is None:
            await self.let_go(session)
        elif client.outbox.full_seconds() > STALL_SECONDS:
            if client.abort is not None:
                client.abort()
            await self.let_go(session)
        elif not socket.closing:
            await socket.check_ping_timeout()

    def _warn(self, client: Client, namespace: str, seconds: float) -> None:
        found = self._namespaces.get(namespace)
        if found is not None and client in found.audience:
            message = "more than 1000 messages in a minute; the others are not listened to"
            client.send(error_packet(namespace, "RATE_LIMITED", message, retryIn=round(seconds * 1000)))


def _say_last(client: Client, last: Any) -> None:
    """Over a WebSocket at once: the listener is about to close it."""
    if client.write is None:
        client.send(last)
    else:
        client.write(text_frame(last.encode().encode()))


def _namespace_of(message: Any) -> str:
    """Of a Socket.IO packet that was not taken apart."""
    text = message[1:] if isinstance(message, str) else ""
    return text.partition(",")[0] if text.startswith("/") else DEFAULT

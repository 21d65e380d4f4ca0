"""python-socketio's server, tamed: quiet, bounded, and with our namespaces instead of its dispatch of events.

What the library leaves open is closed here: its queues have no limit, every event would become a task, a client could
call the handlers of its own coming and going, and what it logs of bad input is a traceback each.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol

from exporter import tasks
from exporter.api.nextjs.live.sockets.audience import Namespace
from exporter.api.nextjs.live.sockets.clients import Outbox
from exporter.api.nextjs.live.sockets.lean import engineio, socketio
from exporter.websocket_protocol import MESSAGE_LIMIT_BYTES

PING_SECONDS = 25
PONG_SECONDS = 20
"""Engine.IO's own."""
PACKETS_PER_POST = 1000
SHOWN_CHARACTERS = 100
"""Of a name that nobody knows."""
SILENT = logging.Logger("socketio", logging.CRITICAL + 1)
"""For everything that the library says: it speaks of what clients do wrong."""


class Ears(Protocol):
    """Whom the library tells what happens."""

    def connected(self, session: str, scope: Any) -> None:
        """A session has begun, by this request."""
        ...

    def disconnected(self, session: str) -> None:
        """It is over."""
        ...

    def joined(self, session: str, namespace: Namespace) -> None:
        """It has come into a namespace."""
        ...

    def left(self, session: str, namespace: Namespace) -> None:
        """It has left it."""
        ...

    def admits(self, session: str, message: Any) -> bool:
        """Whether what a client says is listened to."""
        ...

    def heard(self, session: str, namespace: str, said: Any) -> Any:
        """It has said something, any JSON. Returned is what it is to be acknowledged with."""
        ...


class SocketIO(socketio.AsyncServer):  # type: ignore[misc] # the library has no types
    """The library's server for one path. Its tasks end with its clients' sessions."""

    def __init__(self, ears: Ears, namespaces: Sequence[Namespace], transports: Sequence[str]) -> None:
        engineio.payload.Payload.max_decode_packets = PACKETS_PER_POST
        super().__init__(
            async_mode="asgi",
            namespaces=[each.name for each in namespaces],
            transports=list(transports),
            always_connect=True,  # what a client is told at once comes after the news that it is in
            async_handlers=False,
            monitor_clients=False,  # `SocketServer.watch` does that
            ping_interval=PING_SECONDS,
            ping_timeout=PONG_SECONDS,
            max_http_buffer_size=MESSAGE_LIMIT_BYTES,
            http_compression=False,  # it would encode every update anew for each client
            cookie=None,
            cors_allowed_origins=[],  # `admin` has looked at the origin, and adds the headers
            logger=SILENT,
            engineio_logger=SILENT,
        )
        self.eio.create_queue = Outbox
        self.eio.start_background_task = self._start
        self._pings: dict[str, asyncio.Task[Any]] = {}
        self._ears = ears
        for namespace in namespaces:
            self.on("connect", partial(self._joined, namespace), namespace=namespace.name)
            self.on("disconnect", partial(self._left, namespace), namespace=namespace.name)

    def _joined(self, namespace: Namespace, sid: str, *_: Any) -> None:
        self._ears.joined(self.manager.eio_sid_from_sid(sid, namespace.name), namespace)

    def _left(self, namespace: Namespace, sid: str, *_: Any) -> None:
        self._ears.left(self.manager.eio_sid_from_sid(sid, namespace.name), namespace)

    async def _handle_eio_connect(self, eio_sid: str, environ: dict[str, Any]) -> None:
        await super()._handle_eio_connect(eio_sid, environ)
        self._ears.connected(eio_sid, environ["asgi.scope"])

    def _start(self, target: Callable[..., Any], *arguments: Any) -> asyncio.Task[Any]:
        """All that the library starts are pings, which would sleep on when their sessions are over."""
        session = target.__self__.sid  # type: ignore[attr-defined]
        task = self._pings[session] = tasks.spawn(target(*arguments), name="socketio_ping")
        return task

    async def _handle_eio_disconnect(self, eio_sid: str, reason: str) -> None:
        ping = self._pings.pop(eio_sid, None)
        if ping is not None and ping is not asyncio.current_task():
            ping.cancel()
        await super()._handle_eio_disconnect(eio_sid, reason)
        self._ears.disconnected(eio_sid)

    async def _handle_eio_message(self, eio_sid: str, data: Any) -> None:
        if self._ears.admits(eio_sid, data):
            await super()._handle_eio_message(eio_sid, data)

    async def _handle_connect(self, eio_sid: str, namespace: str | None, data: Any) -> None:
        name = namespace or "/"
        if name in self.handlers:
            await super()._handle_connect(eio_sid, namespace, data)
        else:  # in the form of which the real client makes an error
            error = {"message": f"there is no such namespace: {name[:SHOWN_CHARACTERS]}"}
            refusal = self.packet_class(socketio.packet.CONNECT_ERROR, data=error, namespace=namespace)
            await self._send_packet(eio_sid, refusal)

    async def _handle_event(self, eio_sid: str, namespace: str | None, id: int | None, data: Any) -> None:  # noqa: A002
        answer = self._ears.heard(eio_sid, namespace or "/", data)
        if id is not None and answer is not None:
            acknowledgement = self.packet_class(socketio.packet.ACK, namespace=namespace, id=id, data=[answer])
            await self._send_packet(eio_sid, acknowledgement)

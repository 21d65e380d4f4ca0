"""uvicorn's HTTP/1.1 protocol, taught what a transparent proxy needs; `listeners` gives it to uvicorn.

- `scope["target"]` is the request target as it was sent, `scope["arrived"]` the monotonic time at which the head was
  complete: the application runs a turn of the event loop later, and that turn may be busy.
- `scope["write"]` sends a piece of a response that has begun, at once and without a coroutine (`PieceWriter`),
  `scope["on_drain"]` takes what is called each time the client has caught up after it was too slow (None: no longer,
  which is to be said before the response ends: the connection is the next request's then), `scope["abort"]` ends the
  connection at once. `scope["unframe"]`, called before a response begins, leaves its pieces as they are written,
  without chunks; the connection ends with it.
- A request that offers another protocol (`Upgrade: h2c`, as Java's HTTP client does with every first request) is an
  ordinary request: llhttp would stop at its head, and its body would never be read.
- Trailers are no header fields: a client could slip credentials or a second `Host` past whoever looked at the head.
- A client that leaves is gone for each of its requests, not only for the newest, and `scope["on_leave"]` takes a
  callback for it (None: no longer): nobody has to wait in `receive` for the sake of that alone.
- A head that is too long, or takes too long, ends the connection; so does a client that sends one more request while
  `PIPELINE_LIMIT` wait for their answers.
- On the ports of `ListenerConfig.websocket_ports`, and nowhere else, a WebSocket handshake is one:
  `websocket_protocol` has the connection from there on.
- Open connections are counted by port.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable, Collection
from functools import partial
from typing import Any

import httptools
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from exporter.asgi import ASGIApp
from exporter.websocket_protocol import SharedFrameProtocol

FRAMING = (b"content-length", b"transfer-encoding")
HEAD_LIMIT_BYTES = 64 * 1024
"""Of all header lines and the target together; llama-server itself takes 8 KiB a line."""
HEAD_LIMIT_SECONDS = 30.0
"""From the first byte of a request to the end of its head."""
PIPELINE_LIMIT = 64
"""Requests of one connection without an answer. One segment can hold thousands, each of which costs memory and time."""


class Connections:
    """How many client connections are open, by the port that they came in on."""

    def __init__(self) -> None:
        self._open: Counter[int] = Counter()

    def on(self, port: int) -> int:
        """Open connections on a port."""
        return self._open[port]

    def made(self, port: int) -> None:
        """A client has connected."""
        self._open[port] += 1

    def lost(self, port: int) -> None:
        """It is gone."""
        self._open[port] -= 1


class ListenerConfig(uvicorn.Config):
    """uvicorn's configuration, and what its connections need to know beside it."""

    def __init__(
        self, app: ASGIApp, *, websocket_ports: Collection[int], connections: Connections, **options: Any
    ) -> None:
        super().__init__(app, ws="none", **options)
        self.websocket_ports = frozenset(websocket_ports)
        self.connections = connections


class TransparentProtocol(HttpToolsProtocol):
    """One client connection."""

    config: ListenerConfig
    _in_head = False
    _head_bytes = 0
    _head_timer: asyncio.TimerHandle | None = None
    _unanswered: deque[RequestResponseCycle]
    _on_leave: dict[RequestResponseCycle, Callable[[], None]]
    _on_drain: Callable[[], None] | None = None
    _port: int
    _takes_websockets: bool
    _is_handshake = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client has connected."""
        self._unanswered = deque()
        self._on_leave = {}
        super().connection_made(transport)
        self._port = (self.server and self.server[1]) or 0
        self._takes_websockets = self._port in self.config.websocket_ports
        self.config.connections.made(self._port)
        self._start_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone, and with it whoever waited for an answer."""
        self.config.connections.lost(self._port)
        self._stop_head_timer()
        for cycle in self._open_cycles():
            cycle.disconnected = True
            cycle.message_event.set()
        super().connection_lost(exc)
        callbacks, self._on_leave = self._on_leave, {}
        for callback in callbacks.values():
            callback()

    def resume_writing(self) -> None:
        """The client has caught up."""
        super().resume_writing()
        if self._on_drain is not None:
            self._on_drain()

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        if len(self._open_cycles()) >= PIPELINE_LIMIT:
            raise _TooManyRequestsError
        super().on_message_begin()
        self._start_head()
        self._head_bytes = 0

    def on_url(self, url: bytes) -> None:
        """A part of the request target."""
        self._count_head(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header field, or a trailer, which is dropped."""
        if self._in_head:
            self._count_head(len(name) + len(value))
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head of a request is complete."""
        self._in_head = False
        self._stop_head_timer()
        if self._takes_websockets:
            self._is_handshake = self._offers_websocket()
        super().on_headers_complete()
        if self._is_handshake:
            return
        self._unanswered.append(self.cycle)
        self.scope["on_leave"] = partial(self._set_on_leave, self.cycle)  # type: ignore[typeddict-unknown-key]
        self.scope["on_drain"] = self._set_on_drain  # type: ignore[typeddict-unknown-key]
        self.scope["write"] = PieceWriter(self.cycle).write  # type: ignore[typeddict-unknown-key]
        self.scope["abort"] = self.transport.abort  # type: ignore[typeddict-unknown-key]
        if self.scope["http_version"] != "1.1":
            self.scope["unframe"] = partial(_unframe, self.cycle)  # type: ignore[typeddict-unknown-key]
        self.scope["arrived"] = time.monotonic()  # type: ignore[typeddict-unknown-key]
        self.scope["target"] = self.url  # type: ignore[typeddict-unknown-key]

    def on_message_complete(self) -> None:
        """The body of a request is complete, unless llhttp only believes so."""
        if not (self.parser.should_upgrade() and self._has_body()):
            super().on_message_complete()

    def data_received(self, data: bytes) -> None:
        """Bytes from the client."""
        self._unset_keepalive_if_required()
        try:
            while data:
                try:
                    self.parser.feed_data(data)
                    return
                except httptools.HttpParserUpgrade as offer:
                    data = data[offer.args[0] :]
                    if self._is_handshake:
                        self._hand_over(data)
                        return
                    self._read_on()
        except (_LimitError, httptools.HttpParserError) as error:
            self._end(error if isinstance(error, _LimitError) else error.__context__)

    def _read_on(self) -> None:
        """Go on behind a head that offered another protocol, with a parser that has not heard of the offer."""
        body = self._has_body()
        self.parser = httptools.HttpRequestParser(_Continued(self) if body else self)
        if body:
            fields = b"".join(b"%b: %b\r\n" % field for field in self.headers if field[0] in FRAMING)
            self.parser.feed_data(b"POST / HTTP/1.1\r\n" + fields + b"\r\n")

    def _should_upgrade(self) -> bool:
        """What uvicorn asks at a head that offers another protocol."""
        return self._is_handshake

    def _offers_websocket(self) -> bool:
        """Whether the head is a WebSocket handshake, good or bad. HTTP/1.0 has none (RFC 9110, 7.8), and behind a
        request that is not answered yet there is no place for one."""
        return (
            self.parser.should_upgrade()
            and [value.lower() for name, value in self.headers if name == b"upgrade"] == [b"websocket"]
            and self.parser.get_http_version() == "1.1"
            and not self._open_cycles()
        )

    def _hand_over(self, early: bytes) -> None:
        """Leave the connection, whose handshake has come in, to the WebSocket protocol."""
        if early:  # a client has to wait for the answer to its handshake (RFC 6455, 4.1)
            self._refuse("400 Bad Request")
            return
        self.connections.discard(self)
        fields = b"".join(b"%b: %b\r\n" % field for field in self.headers)
        head = b"%b %b HTTP/1.1\r\n%b\r\n" % (self.parser.get_method(), self.url, fields)
        self.parser = None  # type: ignore[assignment]  # it refers to us
        successor = SharedFrameProtocol(
            self.config, self.server_state, self.app_state, partial(self.config.connections.lost, self._port)
        )
        self.transport.set_protocol(successor)
        successor.connection_made(self.transport)
        if self.flow.write_paused:
            successor.pause_writing()
        successor.shake_hands(head)

    def _has_body(self) -> bool:
        return any(name in FRAMING and value != b"0" for name, value in self.headers)

    def _open_cycles(self) -> deque[RequestResponseCycle]:
        """Those without a whole answer. They are answered in their order."""
        while self._unanswered and self._unanswered[0].response_complete:
            self._unanswered.popleft()
        return self._unanswered

    def _set_on_leave(self, cycle: RequestResponseCycle, callback: Callable[[], None] | None) -> None:
        if callback is None:
            self._on_leave.pop(cycle, None)
        elif cycle.disconnected:
            callback()
        else:
            self._on_leave[cycle] = callback

    def _set_on_drain(self, callback: Callable[[], None] | None) -> None:
        self._on_drain = callback

    def _end(self, cause: BaseException | None) -> None:
        """The client has sent what is no request, or too much."""
        if isinstance(cause, _TooManyRequestsError):
            self.transport.abort()
        else:
            too_long = isinstance(cause, _HeadTooLongError)
            self._refuse("431 Request Header Fields Too Large" if too_long else "400 Bad Request")

    def _refuse(self, status: str) -> None:
        """Answer what is no request. In or before another answer there is no place for that: then only close."""
        waiting = self._open_cycles()
        is_next = not waiting or (len(waiting) == 1 and not self.cycle.response_started and not self._in_head)
        if is_next and not self.transport.is_closing():
            line = f"HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            self.transport.write(line.encode("ascii"))
        self.transport.close()

    def _count_head(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > HEAD_LIMIT_BYTES:
            raise _HeadTooLongError

    def _start_head(self) -> None:
        self._in_head = True
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_LIMIT_SECONDS, self.transport.close)

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


class PieceWriter:
    """Writes pieces of one response's body, framed as uvicorn has begun to; the last one goes the ordinary way."""

    __slots__ = ("_cycle", "_flow", "_transport")

    def __init__(self, cycle: RequestResponseCycle) -> None:
        self._cycle = cycle
        self._flow = cycle.flow
        self._transport = cycle.transport

    def write(self, piece: bytes) -> bool:
        """Send a piece that is not empty and not the last. False: the client is too slow, wait before the next one."""
        cycle = self._cycle
        if cycle.disconnected:
            return True
        if cycle.chunked_encoding:
            self._transport.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        else:
            cycle.expected_content_length -= len(piece)
            self._transport.write(piece)
        return not self._flow.write_paused


def _unframe(cycle: RequestResponseCycle) -> None:
    """uvicorn takes it for the answer to a HEAD then, of which it frames, counts and writes no body."""
    cycle.scope = {**cycle.scope, "method": "HEAD"}
    cycle.keep_alive = False


class _LimitError(Exception):
    """Raised within a callback of the parser, to make it stop."""


class _HeadTooLongError(_LimitError):
    """A head is longer than `HEAD_LIMIT_BYTES`."""


class _TooManyRequestsError(_LimitError):
    """A request begins while `PIPELINE_LIMIT` wait for their answers."""


class _Continued:
    """Receives the callbacks of a parser that was told a request's head a second time, and keeps that head from the
    protocol."""

    def __init__(self, protocol: TransparentProtocol) -> None:
        self._protocol: Any = protocol
        self._head = True

    def on_message_begin(self) -> None:
        if not self._head:
            self._protocol.on_message_begin()

    def on_url(self, url: bytes) -> None:
        if not self._head:
            self._protocol.on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._head:
            self._protocol.on_header(name, value)

    def on_headers_complete(self) -> None:
        if not self._head:
            self._protocol.on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._protocol.on_body(body)

    def on_message_complete(self) -> None:
        self._head = False
        self._protocol.on_message_complete()

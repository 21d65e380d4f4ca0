"""uvicorn's HTTP/1.1 protocol, taught what a transparent proxy needs; `listeners` gives it to uvicorn.

- `scope["target"]` is the request target as it was sent, `scope["arrived"]` the monotonic time at which the head was
  complete: the application runs a turn of the event loop later, and that turn may be busy.
- `scope["write"]` sends a piece of a response that has begun, at once and without a coroutine (`PieceWriter`).
- A request that offers another protocol (`Upgrade: h2c`, as Java's HTTP client does with every first request) is an
  ordinary request: llhttp would stop at its head, and its body would never be read.
- Trailers are no header fields: a client could slip credentials or a second `Host` past whoever looked at the head.
- A client that leaves is gone for each of its requests, not only for the newest, and `scope["on_leave"]` takes a
  callback for it (None: no longer): nobody has to wait in `receive` for the sake of that alone.
- A head that is too long, or takes too long, ends the connection.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

FRAMING = (b"content-length", b"transfer-encoding")
HEAD_LIMIT_BYTES = 64 * 1024
"""Of all header lines and the target together; llama-server itself takes 8 KiB a line."""
HEAD_LIMIT_SECONDS = 30.0
"""From the first byte of a request to the end of its head."""


class TransparentProtocol(HttpToolsProtocol):
    """One client connection."""

    _in_head = False
    _head_bytes = 0
    _head_timer: asyncio.TimerHandle | None = None
    _unfinished: list[RequestResponseCycle]
    _on_leave: dict[RequestResponseCycle, Callable[[], None]]

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client has connected."""
        self._unfinished = []
        self._on_leave = {}
        super().connection_made(transport)
        self._start_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone, and with it whoever waited for an answer."""
        self._stop_head_timer()
        for cycle in self._open_cycles():
            cycle.disconnected = True
            cycle.message_event.set()
        super().connection_lost(exc)
        callbacks, self._on_leave = self._on_leave, {}
        for callback in callbacks.values():
            callback()

    def on_message_begin(self) -> None:
        """The first byte of a request."""
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
        super().on_headers_complete()
        self._unfinished = [*self._open_cycles(), self.cycle]
        self.scope["on_leave"] = partial(self._set_on_leave, self.cycle)  # type: ignore[typeddict-unknown-key]
        self.scope["write"] = PieceWriter(self.cycle).write  # type: ignore[typeddict-unknown-key]
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
                    self._read_on()
        except _HeadTooLongError:
            self._refuse("431 Request Header Fields Too Large")
        except httptools.HttpParserError as error:
            too_long = isinstance(error.__context__, _HeadTooLongError)
            self._refuse("431 Request Header Fields Too Large" if too_long else "400 Bad Request")

    def _read_on(self) -> None:
        """Go on behind a head that offered another protocol, with a parser that has not heard of the offer."""
        body = self._has_body()
        self.parser = httptools.HttpRequestParser(_Continued(self) if body else self)
        if body:
            fields = b"".join(b"%b: %b\r\n" % field for field in self.headers if field[0] in FRAMING)
            self.parser.feed_data(b"POST / HTTP/1.1\r\n" + fields + b"\r\n")

    def _has_body(self) -> bool:
        return any(name in FRAMING and value != b"0" for name, value in self.headers)

    def _open_cycles(self) -> list[RequestResponseCycle]:
        return [cycle for cycle in self._unfinished if not cycle.response_complete]

    def _set_on_leave(self, cycle: RequestResponseCycle, callback: Callable[[], None] | None) -> None:
        if callback is None:
            self._on_leave.pop(cycle, None)
        elif cycle.disconnected:
            callback()
        else:
            self._on_leave[cycle] = callback

    def _refuse(self, status: str) -> None:
        """Answer what is no request. In or before another answer there is no place for that: then only close."""
        waiting = self._open_cycles()
        is_next = not waiting or (waiting == [self.cycle] and not self.cycle.response_started and not self._in_head)
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


class _HeadTooLongError(Exception):
    """Raised within a callback of the parser, to make it stop."""


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

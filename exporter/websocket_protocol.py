"""uvicorn's WebSocket protocol, taught to send frames that were encoded once for all readers; `http_protocol` hands
connections over to it.

- `scope["write"]` sends a frame as it is (`text_frame`), at once and without a coroutine; `scope["on_drain"]` and
  `scope["abort"]` are those of `http_protocol`.
- There is no compression: it would make every reader's frames its own.
- What uvicorn leaves open, or answers with a traceback, ends the connection: a head that the WebSocket library cannot
  read, frames ahead of the handshake's end, text that is no UTF-8, a client that takes nothing any more.
- A client that says more than its `Allowance` is told so (1008), wherever in a segment that is: each frame costs time
  that the proxy's streams wait for, and each ping a pong. One that reads nothing cannot answer our pings either, so
  that no more than some periods' pongs wait for it. `scope["allow"]` takes how many frames and bytes are allowed in
  `ALLOWANCE_SECONDS` where clients are expected to say something.
- A message of many parts is one piece of memory, not one for each part, of which there may be any number of empty ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState
from websockets.frames import CloseCode, Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import State

MESSAGE_LIMIT_BYTES = 64 * 1024
"""Of what a client says."""
ALLOWANCE_SECONDS = 10.0
ALLOWED_FRAMES = 200
ALLOWED_BYTES = 4 * MESSAGE_LIMIT_BYTES
"""What a client may say in `ALLOWANCE_SECONDS`; those that read a stream only send pongs, and perhaps pings."""
SLICE_BYTES = 1024
"""How much is taken apart before the frames are counted: at most 170, of 6 bytes each."""
LAST_FRAME_SECONDS = 0.25
"""How long a client that is not expected to answer has to take the last frames."""
BAD_REQUEST = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


def text_frame(text: bytes) -> bytes:
    """The frame that carries a text message (UTF-8) from a server, for `scope["write"]`."""
    return Frame(Opcode.TEXT, text).serialize(mask=False)


class Allowance:
    """How much a client may still say."""

    def __init__(self) -> None:
        self._since = -math.inf
        self._frames = 0
        self._bytes = 0
        self._allowed = (ALLOWED_FRAMES, ALLOWED_BYTES)

    def allow(self, frames: int, size_bytes: int) -> None:
        """Let the client say so much in `ALLOWANCE_SECONDS`, from now on."""
        self._allowed = (frames, size_bytes)

    def take(self, frames: int, size_bytes: int, now: float) -> bool:
        """Count what the client has said by `now` (monotonic seconds). False: it was too much."""
        if now - self._since >= ALLOWANCE_SECONDS:
            self._since, self._frames, self._bytes = now, 0, 0
        self._frames += frames
        self._bytes += size_bytes
        frames_allowed, bytes_allowed = self._allowed
        return self._frames <= frames_allowed and self._bytes <= bytes_allowed


class SharedFrameProtocol(WebSocketsSansIOProtocol):
    """One WebSocket. `on_lost` is called when its connection is gone."""

    def __init__(
        self, config: Config, server_state: ServerState, app_state: dict[str, Any], on_lost: Callable[[], None]
    ) -> None:
        super().__init__(config, server_state, app_state)
        self._on_lost = on_lost
        self._on_drain: Callable[[], None] | None = None
        self._allowance = Allowance()

    def shake_hands(self, head: bytes) -> None:
        """Answer a handshake, or leave that to the application. `head` is the whole head of its request."""
        super().data_received(head)
        if not self.handshake_initiated:
            self.transport.write(b"".join(self.conn.data_to_send()) or BAD_REQUEST)
            self.transport.close()

    def write(self, frame: bytes) -> bool:
        """Send a frame that is already encoded; nothing before the handshake and after the closing one. False: the
        client is too slow, wait before the next one."""
        if self.conn.state is not State.OPEN or self.transport.is_closing():
            return True
        self.transport.write(frame)
        return self.writable.is_set()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone."""
        super().connection_lost(exc)
        self._on_lost()

    def data_received(self, data: bytes) -> None:
        """Frames from the client, which has to wait for the answer to its handshake (RFC 6455, 4.1)."""
        if not self.handshake_complete:
            self.transport.abort()
            return
        for start in range(0, len(data), SLICE_BYTES):
            self._hear(data[start : start + SLICE_BYTES])
            if self.transport.is_closing():
                return

    def _hear(self, piece: bytes) -> None:
        """Take a slice of what the client says apart."""
        self.conn.receive_data(piece)
        if not self._allowance.take(len(self.conn.events), len(piece), self.loop.time()):
            self.conn.fail(CloseCode.POLICY_VIOLATION, "too many frames")
            self.handle_parser_exception()
        elif self.conn.parser_exc is not None:
            self.handle_parser_exception()
        else:
            self.handle_events()

    def resume_writing(self) -> None:
        """The client has caught up."""
        super().resume_writing()
        if self._on_drain is not None:
            self._on_drain()

    def shutdown(self) -> None:
        """The server stops: say so (1012), unless the connection is being closed already."""
        if not self.transport.is_closing():
            super().shutdown()
        self._end_soon()

    def handle_connect(self, event: Request) -> None:
        """A handshake has come in."""
        super().handle_connect(event)
        if not self.close_sent:
            self.scope["write"] = self.write  # type: ignore[typeddict-unknown-key]
            self.scope["on_drain"] = self._set_on_drain  # type: ignore[typeddict-unknown-key]
            self.scope["abort"] = self.transport.abort  # type: ignore[typeddict-unknown-key]
            self.scope["allow"] = self._allowance.allow  # type: ignore[typeddict-unknown-key]

    def handle_cont(self, event: Frame) -> None:
        """A further part of a message."""
        super().handle_cont(event)
        if not event.fin:
            self.frames = [b"".join(self.frames)]

    def handle_parser_exception(self) -> None:
        """The client has broken the rules."""
        super().handle_parser_exception()
        self._end_soon()

    def send_receive_event_to_app(self) -> None:
        """A message is complete."""
        if self.curr_msg_data_type == "text" and not _is_utf8(b"".join(self.frames)):
            self.conn.fail(CloseCode.INVALID_DATA)
            self.handle_parser_exception()
        else:
            super().send_receive_event_to_app()

    def keepalive_timeout(self) -> None:
        """The client has not answered a ping."""
        super().keepalive_timeout()
        self._end_soon()

    def _end_soon(self) -> None:
        """To close a connection is to wait until the client has taken everything; this is when it does not."""
        self.loop.call_later(LAST_FRAME_SECONDS, self.transport.abort)

    def _set_on_drain(self, callback: Callable[[], None] | None) -> None:
        self._on_drain = callback


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True

"""One client: what is sent to it, how much it may say, and whether it may change anything."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from exporter.api.nextjs.live.outbox import Outbox
from exporter.api.nextjs.live.pieces import Piece
from exporter.api.nextjs.live.traffic import Traffic

MESSAGES_PER_MINUTE = 1000
MINUTE_SECONDS = 60.0


class Minute:
    """How much a client has said in the minute that began with its first message."""

    def __init__(self) -> None:
        self._since = float("-inf")
        self._messages = 0

    def take(self, now: float) -> bool:
        """Count a message. False: it is one too many."""
        if now - self._since >= MINUTE_SECONDS:
            self._since, self._messages = now, 0
        self._messages += 1
        return self._messages <= MESSAGES_PER_MINUTE

    def left_seconds(self, now: float) -> float:
        """Until it is over."""
        return max(self._since + MINUTE_SECONDS - now, 0.0)


class Client:
    """An Engine.IO session."""

    __slots__ = ("_socket", "_traffic", "abort", "id", "minute", "reads_only", "warned_at", "write")

    def __init__(self, session: str, socket: Any, traffic: Traffic) -> None:
        self.id = session
        self.reads_only = False
        """Whether it is a page of some other origin, which must not change anything."""
        self.minute = Minute()
        self.warned_at = float("-inf")
        """Monotonic time at which it was told that it says too much."""
        self.abort: Callable[[], None] | None = None
        """Ends its WebSocket at once; None as long as it polls."""
        self.write: Callable[[bytes], object] | None = None
        """Writes a frame to its WebSocket at once."""
        self._socket = socket
        self._traffic = traffic

    @property
    def outbox(self) -> Outbox:
        """What waits for it."""
        found: Outbox = self._socket.queue
        return found

    def send(self, piece: Piece) -> bool:
        """Send a piece, unless too many wait already."""
        if self._socket.closed or not self.outbox.offer(piece):
            return False
        self._traffic.note()
        return True

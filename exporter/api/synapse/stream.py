"""The WebSocket `/api/metrics/ws`: the newest figures for everybody who reads, made and encoded once a second.

Its loop is the room's background work; a reader costs no task beyond the one that the server runs for its connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from math import floor

from exporter.api.broadcast import Broadcast, stream_frames
from exporter.api.documents import encode
from exporter.api.request_id import REQUEST_ID
from exporter.api.synapse.answers import refuse, request_id
from exporter.api.synapse.documents import MetricsUpdate
from exporter.asgi import Receive, Scope, Send
from exporter.websocket_protocol import text_frame

PERIOD_SECONDS = 1.0
FULL = "too many clients read the metrics; live.max_readers says how many may"


class MetricsStream:
    """The WebSocket, as an ASGI application."""

    def __init__(self, update: Callable[[], MetricsUpdate], max_readers: int, clock: Callable[[], float]) -> None:
        """`clock` gives monotonic seconds."""
        self._update = update
        self._clock = clock
        self._broadcast = Broadcast(max_readers, clock=clock)
        self._made_at = float("-inf")
        self._frame = b""

    def readers(self) -> int:
        """How many there are now."""
        return len(self._broadcast)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one reader: a message at once, then one a second."""
        if self._broadcast.is_full:
            await refuse(503, FULL)(scope, receive, send)
            return
        first = self._newest()
        field = (REQUEST_ID.lower().encode("ascii"), request_id(scope).encode("ascii"))
        await send({"type": "websocket.accept", "headers": [field]})
        await stream_frames(self._broadcast, scope, receive, first)

    async def run(self) -> None:
        """Publish once a second while there are readers: at whole seconds after the first of them came."""
        while True:
            await self._broadcast.wanted()
            began, turn = self._clock(), 1
            await self._sleep_until(began + turn * PERIOD_SECONDS)
            while self.readers():
                await self._broadcast.publish(self._make())
                turn = next_turn(turn, (self._clock() - began) / PERIOD_SECONDS)
                await self._sleep_until(began + turn * PERIOD_SECONDS)

    def close(self) -> None:
        """Take no more readers, and let go of those that there are; the server closes their connections."""
        self._broadcast.close()

    def _newest(self) -> bytes:
        """For a reader who has just come. Many may come at once."""
        return self._frame if self._clock() - self._made_at < PERIOD_SECONDS else self._make()

    def _make(self) -> bytes:
        self._frame, self._made_at = text_frame(encode(self._update())), self._clock()
        return self._frame

    async def _sleep_until(self, moment: float) -> None:
        await asyncio.sleep(max(moment - self._clock(), 0))


def next_turn(turn: int, periods: float) -> int:
    """The one to come after `turn`, when so many periods have passed; turns that were missed are skipped. Timers may be
    early by a hair: no turn comes twice."""
    return max(turn, floor(periods)) + 1

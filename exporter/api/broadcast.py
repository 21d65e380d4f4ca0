"""The newest piece for everybody who listens: encoded once, written to each reader's connection, with no task per
reader.

The rooms that stream own a `Broadcast` each. One coroutine of theirs publishes; their handlers begin the response (or
accept the WebSocket) and leave the rest to `stream_events` or `stream_frames`. `close` belongs into the server's
`on_stop`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from exporter.asgi import Receive, Scope, Send

log = logging.getLogger(__name__)

Write = Callable[[bytes], bool]
"""Sends a piece at once. False: it was taken, but the reader is too slow to be given more until it drains."""
OnDrain = Callable[[Callable[[], None] | None], None]
"""Takes what is to be called each time the reader has caught up; None takes it back."""
Abort = Callable[[], None]
"""Ends the reader's connection at once."""

READERS_PER_TURN = 32
"""A reader costs some 15 us, most of it in the system call: the proxy's streams wait for half a millisecond."""
STALL_SECONDS = 60.0
LAST_PIECE_SECONDS = 0.25
"""How long readers have, at the end, to take what is on its way to them."""


class Broadcast:
    """Gives every piece to every reader that keeps up, in order.

    A reader whose buffer is full is passed over, and given the newest piece that was to be kept when it has drained: it
    always ends at the last state. One that has not drained for `stall_seconds` is cut off at the next piece. `clock`
    gives monotonic seconds.
    """

    def __init__(
        self, limit: int, *, stall_seconds: float = STALL_SECONDS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.stall_seconds = stall_seconds
        self.clock = clock
        self.kept = (0, b"")
        """Number and bytes of the newest piece that is worth being given late."""
        self._limit = limit
        self._published = 0
        self._readers: dict[Subscription, None] = {}
        self._turns = asyncio.Lock()
        self._joined = asyncio.Event()
        self._closed = False

    def __len__(self) -> int:
        """Readers now."""
        return len(self._readers)

    @property
    def is_full(self) -> bool:
        """Whether nobody can join now: there are too many, or it is over. To be asked before a response begins."""
        return self._closed or len(self._readers) >= self._limit

    def join(self, write: Write, on_drain: OnDrain, abort: Abort, first: bytes | None = None) -> Subscription | None:
        """A new reader, None when there is no room. It gets `first` at once, and then what is published from now on;
        older pieces that are still being handed out are not for it."""
        if self.is_full:
            return None
        reader = Subscription(self, write, on_drain, abort)
        self._readers[reader] = None
        self._joined.set()
        on_drain(reader.drained)
        reader.give(self._published, first)
        return reader

    def leave(self, reader: Subscription) -> None:
        """A reader is gone; `Subscription.leave` calls this."""
        del self._readers[reader]

    async def wanted(self) -> None:
        """Wait until there is a reader. After `close` there never is."""
        while not self._readers:
            self._joined.clear()
            await self._joined.wait()

    async def publish(self, piece: bytes, *, keep: bool = True) -> None:
        """Give a piece to everybody; return when it was offered to each reader. With `keep` off, as for a heartbeat,
        readers that are too slow never see it.

        Pieces are handed out one after the other, in the order of the calls, some readers a turn of the event loop.
        """
        self._published += 1
        number = self._published
        async with self._turns:
            if keep:
                self.kept = (number, piece)
            readers = list(self._readers)
            for start in range(0, len(readers), READERS_PER_TURN):
                for reader in readers[start : start + READERS_PER_TURN]:
                    reader.offer(number, piece)
                await asyncio.sleep(0)

    def close(self) -> None:
        """Nobody joins any more, and every subscription ends. A reader that does not take the end of its response in
        `LAST_PIECE_SECONDS` is cut off, so that it does not hold up the stop."""
        self._closed = True
        readers = list(self._readers)
        for reader in readers:
            reader.leave()
            asyncio.get_running_loop().call_later(LAST_PIECE_SECONDS, reader.abort)


class Subscription:
    """One reader. `offer`, `give` and `drained` are for its broadcast."""

    __slots__ = ("_broadcast", "_ended", "_given", "_on_drain", "_slow_since", "_write", "abort")

    def __init__(self, broadcast: Broadcast, write: Write, on_drain: OnDrain, abort: Abort) -> None:
        self._broadcast = broadcast
        self._write = write
        self._on_drain = on_drain
        self.abort = abort
        self._given = 0
        self._slow_since: float | None = None
        self._ended = asyncio.Event()

    def leave(self) -> None:
        """Be given nothing any more. May be called again."""
        if not self._ended.is_set():
            self._ended.set()
            self._broadcast.leave(self)
            self._on_drain(None)

    async def ended(self) -> None:
        """Wait until the reader has left, was cut off, or the broadcast was closed: the response shall end."""
        await self._ended.wait()

    def offer(self, number: int, piece: bytes) -> None:
        """A piece goes round."""
        if self._ended.is_set() or number <= self._given:
            return
        if self._slow_since is None:
            self.give(number, piece)
        elif self._broadcast.clock() - self._slow_since > self._broadcast.stall_seconds:
            self._cut_off()

    def give(self, number: int, piece: bytes | None) -> None:
        """Write a piece, if there is one, and count it and those before as given."""
        self._given = number
        if piece is None:
            return
        try:
            keeps_up = self._write(piece)
        except Exception:
            log.exception("a reader could not be written to")
            self._cut_off()
        else:
            self._slow_since = None if keeps_up else self._broadcast.clock()

    def drained(self) -> None:
        """The reader has caught up with what it was given."""
        self._slow_since = None
        number, piece = self._broadcast.kept
        if number > self._given:
            self.give(number, piece)

    def _cut_off(self) -> None:
        self.leave()
        self.abort()


async def stream_events(broadcast: Broadcast, scope: Scope, send: Send, first: bytes | None = None) -> None:
    """The body of an HTTP response that has begun: `first` and what is published, until the reader leaves or the
    broadcast is closed."""
    reader = broadcast.join(scope["write"], scope["on_drain"], scope["abort"], first)
    if reader is not None:
        scope["on_leave"](reader.leave)
        try:
            await reader.ended()
        finally:
            reader.leave()
            scope["on_leave"](None)
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def stream_frames(broadcast: Broadcast, scope: Scope, receive: Receive, first: bytes | None = None) -> None:
    """The same for a WebSocket that was accepted; pieces are frames. What the client says is read and dropped. The
    server closes it when it stops."""
    reader = broadcast.join(scope["write"], scope["on_drain"], scope["abort"], first)
    if reader is None:
        return
    try:
        while (await receive())["type"] != "websocket.disconnect":
            pass
    finally:
        reader.leave()

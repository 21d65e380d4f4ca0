"""The clients of both paths: what waits for each, how much it may say, whether it may change anything, and how many
there may be."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from math import floor
from typing import Any

from exporter.api.nextjs.live.sockets.packets import Packet

MESSAGES_PER_MINUTE = 1000
MINUTE_SECONDS = 60.0
TRAFFIC_SECONDS = 60
OUTBOX_LIMIT = 64
"""Packets. Those of all clients are the same objects, so that it is them who bound the memory, not the clients."""


class Traffic:
    """Counts by second. `clock` gives monotonic seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._counts = [0] * TRAFFIC_SECONDS
        self._newest = floor(clock())

    def note(self) -> None:
        """A message was sent, or has come."""
        self._counts[self._turn() % TRAFFIC_SECONDS] += 1

    def per_second(self) -> float:
        """Mean of the last minute."""
        self._turn()
        return sum(self._counts) / TRAFFIC_SECONDS

    def _turn(self) -> int:
        """The second that it is; those that have passed since are emptied."""
        now = floor(self._clock())
        for second in range(max(self._newest, now - TRAFFIC_SECONDS) + 1, now + 1):
            self._counts[second % TRAFFIC_SECONDS] = 0
        self._newest = max(self._newest, now)
        return self._newest


class Outbox(asyncio.Queue[Any]):
    """The queue of a client. What finds it full is dropped: the next update says it all, and a ping that was dropped is
    one that was not answered."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._full_since: float | None = None

    async def put(self, item: Any) -> None:
        """As the library puts its own packets, and the None that ends the queue."""
        if item is None:
            self.put_nowait(None)
        else:
            self.offer(item)

    def offer(self, packet: Any) -> bool:
        """Put a packet where there is room for it."""
        if self.qsize() >= OUTBOX_LIMIT:
            if self._full_since is None:
                self._full_since = self._clock()
            return False
        if self._full_since is not None and self.qsize() < OUTBOX_LIMIT // 2:
            self._full_since = None
        self.put_nowait(packet)
        return True

    def full_seconds(self) -> float:
        """For how long it has not been half empty when something came for it; 0 where there is room."""
        return 0.0 if self._full_since is None else self._clock() - self._full_since


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

    def forgive(self) -> None:
        """The last message does not count after all."""
        self._messages -= 1

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

    def send(self, packet: Packet) -> bool:
        """Send a packet, unless too many wait already."""
        if self._socket.closed or not self.outbox.offer(packet):
            return False
        self._traffic.note()
        return True


class Lobby:
    """All clients, by session. `clock` gives monotonic seconds."""

    def __init__(self, limit: int, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.traffic = Traffic(clock)
        self.closed = False
        self._limit = limit
        self._clients: dict[str, Client] = {}

    def __len__(self) -> int:
        return len(self._clients)

    def __iter__(self) -> Iterator[Client]:
        return iter(self._clients.values())

    @property
    def is_full(self) -> bool:
        """Whether nobody can come now."""
        return self.closed or len(self._clients) >= self._limit

    def get(self, session: str) -> Client | None:
        """The client of a session."""
        return self._clients.get(session)

    def add(self, client: Client) -> None:
        """A client has connected."""
        self._clients[client.id] = client

    def remove(self, session: str) -> None:
        """It is gone."""
        self._clients.pop(session, None)

"""What waits for one client, and never grows without bound: the library's queue, which has no limit of its own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

LIMIT = 64
"""Pieces. Those of all clients are the same objects, so that it is them who bound the memory, not the clients."""


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

    def offer(self, piece: Any) -> bool:
        """Put a piece where there is room for it."""
        if self.qsize() >= LIMIT:
            if self._full_since is None:
                self._full_since = self._clock()
            return False
        if self._full_since is not None and self.qsize() < LIMIT // 2:
            self._full_since = None
        self.put_nowait(piece)
        return True

    def full_seconds(self) -> float:
        """For how long it has not been half empty when something came for it; 0 where there is room."""
        return 0.0 if self._full_since is None else self._clock() - self._full_since

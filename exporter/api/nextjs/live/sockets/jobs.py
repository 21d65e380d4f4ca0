"""What clients have set going, and how much of that there may be at a time."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any

from exporter import tasks
from exporter.api.nextjs.live.sockets.clients import Client

LIMIT = 64
LIMIT_PER_CLIENT = 4


class Jobs:
    """Tasks of clients. They go on when the client has left, and end when the sidecar does."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[None]] = set()
        self._by_client: Counter[str] = Counter()

    def run(self, client: Client, work: Callable[[], Coroutine[Any, Any, None]]) -> bool:
        """Set something going. False: there is too much of it."""
        if len(self._running) >= LIMIT or self._by_client[client.id] >= LIMIT_PER_CLIENT:
            return False
        task = tasks.spawn(work(), name="live_job")
        self._running.add(task)
        self._by_client[client.id] += 1
        task.add_done_callback(lambda done: self._end(done, client.id))
        return True

    def close(self) -> None:
        """End them all."""
        for task in self._running:
            task.cancel()

    def _end(self, task: asyncio.Task[None], session: str) -> None:
        self._running.discard(task)
        self._by_client[session] -= 1
        if not self._by_client[session]:
            del self._by_client[session]

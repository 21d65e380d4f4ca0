"""Supervised background work: named, restarted with back-off when it fails, counted.

`app` starts every long-running loop through a `Supervisor`; nothing else in the package creates free-standing tasks.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

log = logging.getLogger(__name__)

BACKOFF_FIRST_SECONDS = 1.0
BACKOFF_LIMIT_SECONDS = 60.0


def spawn(work: Coroutine[Any, Any, T], *, name: str) -> asyncio.Task[T]:
    """Start a task whose life the caller owns: it must await or cancel it. The only `create_task` of the package."""
    return asyncio.get_running_loop().create_task(work, name=name)


async def cancel(task: asyncio.Task[Any]) -> None:
    """Cancel a task and wait until it has ended; its outcome is dropped. Who is cancelled while waiting hears of it."""
    task.cancel()
    await asyncio.wait({task})
    if not task.cancelled():
        task.exception()


class Supervisor:
    """Runs named coroutine functions for ever: one that raises or returns is started again, 1 s, 2 s, 4 s ... 60 s
    later."""

    def __init__(self) -> None:
        self.restarts: dict[str, int] = {}
        """Restarts so far by task name; a name appears with 0 as soon as it is started."""
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def start(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        """Start `work` under `name`. Raises ValueError when the name is taken."""
        if name in self._tasks:
            raise ValueError(f"a task named {name!r} is running already")
        self.restarts[name] = 0
        self._tasks[name] = spawn(self._keep(name, work), name=name)

    async def stop(self) -> None:
        """Cancel everything, in the reverse order of starting, and wait for it to end."""
        while self._tasks:
            _, task = self._tasks.popitem()
            await cancel(task)

    async def _keep(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        delay = BACKOFF_FIRST_SECONDS
        clock = asyncio.get_running_loop().time
        while True:
            started = clock()
            try:
                await work()
                log.warning("background task ended, restarting", extra={"task": name, "delay_seconds": delay})
            except Exception:
                log.exception("background task failed, restarting", extra={"task": name, "delay_seconds": delay})
            if clock() - started > BACKOFF_LIMIT_SECONDS:
                delay = BACKOFF_FIRST_SECONDS
            self.restarts[name] += 1
            await asyncio.sleep(delay)
            delay = min(delay * 2, BACKOFF_LIMIT_SECONDS)

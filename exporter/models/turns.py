"""Who may change models now: one at a time, and nobody waits for long. `models` and `upkeep` take turns here; `runtime`
and `registry` finish here what must not be left half done."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from functools import partial
from typing import Any, TypeVar

from exporter.models.model import UnavailableError
from exporter.tasks import spawn

T = TypeVar("T")

TURN_SECONDS = 5.0
"""Longest wait for a turn; a router that does not answer keeps whoever has it for about as long."""

_unattended = set[asyncio.Task[Any]]()
"""Work that nobody waits for any more; the event loop alone would forget it."""


class Turns:
    """One turn after the other."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()

    @contextlib.asynccontextmanager
    async def soon(self) -> AsyncIterator[None]:
        """A turn for whoever is waited for. Raises UnavailableError when it does not come soon."""
        try:
            async with asyncio.timeout(TURN_SECONDS):
                await self._lock.acquire()
        except TimeoutError:
            raise UnavailableError("another change of the models is still under way") from None
        try:
            yield
        finally:
            self._lock.release()

    @contextlib.asynccontextmanager
    async def whenever(self) -> AsyncIterator[None]:
        """A turn in the background."""
        async with self._lock:
            yield


async def unbroken(work: Coroutine[Any, Any, T], *, name: str, late: Callable[[], None] | None = None) -> T:
    """Do something to its end, also when whoever waits for it is cancelled; `late` is called when it has been done
    then."""
    task = spawn(work, name=name)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        _unattended.add(task)
        task.add_done_callback(partial(_end, late))
        raise


def _end(late: Callable[[], None] | None, task: asyncio.Task[Any]) -> None:
    """Nobody is told that it has failed: nobody asks any more."""
    _unattended.discard(task)
    if not task.cancelled() and task.exception() is None and late is not None:
        late()

"""Who may change models now: one at a time, and nobody waits for long. `models` and `upkeep` take turns here; `runtime`
and `registry` finish here what must not be left half done. Whoever has thousands of things to do lets others in between
them."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from functools import partial
from typing import Any, TypeVar

from exporter.models.model import UnavailableError
from exporter.tasks import spawn

T = TypeVar("T")

TURN_SECONDS = 5.0
"""Longest wait for a turn; a router that does not answer keeps whoever has it for about as long."""

SLICE_SECONDS = 0.0005
"""Of work in the event loop, before streams have their turn again."""

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


async def bit_by_bit(things: Iterable[T]) -> list[T]:
    """All that an iterator makes. Others have their turn as soon as a slice of time is over, so what it looks at must
    not be changed by them."""
    made, since = [], time.perf_counter()
    for each in things:
        made.append(each)
        if time.perf_counter() - since >= SLICE_SECONDS:
            await asyncio.sleep(0)
            since = time.perf_counter()
    return made


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

"""When a stream is due: at a moment that may become another one while it is waited for, or as soon as something
happens."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable


class Ticker:
    """Waits. `clock` gives monotonic seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._woken = asyncio.Event()
        self._nudged = False

    def nudge(self) -> None:
        """It is due now."""
        self._nudged = True
        self._woken.set()

    def settle(self) -> None:
        """It was due, and that has been seen to."""
        self._nudged = False

    def changed(self) -> None:
        """It may be due at another time."""
        self._woken.set()

    async def wait(self, due: Callable[[], float]) -> bool:
        """Until `due` (monotonic seconds; asked anew after `changed`), or the next nudge: whether it was one."""
        while not self._nudged and (left := due() - self._clock()) > 0:
            self._woken.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._woken.wait()
        nudged, self._nudged = self._nudged, False
        return nudged

"""Counting in memory how often each address came, for `nextjs.rate_limit` and `monitoring.attempts`: storage for the
library `limits`, whose own looks at every address in every request, in tasks of its own.

All windows are equally long, so they end in the order in which they began: what is over stands at the front.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

from limits.aio.storage import Storage

ADDRESSES = 50_000
"""As many are counted at once (15 MB). Beyond that the oldest window is forgotten, and its address begins anew."""
SWEPT = 100
"""Windows that are over, and forgotten in one go: more than come, and never so many that streams would feel it."""


class Windows(Storage):
    """Counts by key. `clock` gives monotonic seconds, `wall` UTC."""

    STORAGE_SCHEME = None

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        addresses: int = ADDRESSES,
    ) -> None:
        super().__init__()
        self._clock = clock
        self._wall = wall
        self._addresses = addresses
        self._windows: OrderedDict[str, tuple[int, float]] = OrderedDict()
        """Count, and when the window ends."""

    def __len__(self) -> int:
        return len(self._windows)

    @property
    def base_exceptions(self) -> type[Exception]:
        """None is raised."""
        return ValueError

    async def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Count, in a window of `expiry` seconds from the first time on."""
        now = self._clock()
        self._sweep(now)
        count, end = self._windows.get(key, (0, 0.0))
        if end <= now:
            self._windows.pop(key, None)
            count, end = 0, now + expiry
            while len(self._windows) >= self._addresses:
                self._windows.popitem(last=False)
        self._windows[key] = count + amount, end
        return count + amount

    async def get(self, key: str) -> int:
        """How often it was counted in its window."""
        count, end = self._windows.get(key, (0, 0.0))
        return count if end > self._clock() else 0

    async def get_expiry(self, key: str) -> float:
        """When its window ends, in UTC seconds since the epoch."""
        _, end = self._windows.get(key, (0, 0.0))
        return self._wall() + max(end - self._clock(), 0.0)

    async def check(self) -> bool:
        """It is always there."""
        return True

    async def reset(self) -> int:
        """Forget everything."""
        count = len(self._windows)
        self._windows.clear()
        return count

    async def clear(self, key: str) -> None:
        """Forget one."""
        self._windows.pop(key, None)

    def _sweep(self, now: float) -> None:
        for _ in range(SWEPT):
            first = next(iter(self._windows.values()), None)
            if first is None or first[1] > now:
                return
            self._windows.popitem(last=False)

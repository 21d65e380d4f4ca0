"""How often somebody may enter a wrong key on `/monitoring`: `sign_in` asks, and tells of failures."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from limits import RateLimitItem, RateLimitItemPerMinute
from limits.aio.strategies import FixedWindowRateLimiter

from exporter.api.client_address import network
from exporter.api.limit_storage import Windows

NAMESPACE = "sign-in"
OF_ONE = RateLimitItemPerMinute(5, namespace=NAMESPACE)
"""By address."""
OF_ALL = RateLimitItemPerMinute(60, namespace=NAMESPACE)
"""Together: many addresses are no help. Who has signed in, or sends a key in a header field, is not concerned."""
EVERYBODY = "*"
"""No address is called so."""


class Attempts:
    """Those that failed, in windows of a minute that begin with the first. `clock` gives monotonic seconds, `wall` UTC.

    Counting in memory never waits, so nobody gets between a question and what is noted after it.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic, wall: Callable[[], float] = time.time) -> None:
        self._limiter = FixedWindowRateLimiter(Windows(clock, wall))
        self._wall = wall

    async def wait_seconds(self, address: str) -> int:
        """Until the address may try again; 0 where it may now."""
        return max([await self._wait_seconds(item, name) for item, name in _counts(address)])

    async def note_failure(self, address: str) -> None:
        """It was one more."""
        for item, name in _counts(address):
            await self._limiter.hit(item, name)

    async def _wait_seconds(self, item: RateLimitItem, name: str) -> int:
        if await self._limiter.test(item, name):
            return 0
        reset, _ = await self._limiter.get_window_stats(item, name)
        return max(math.ceil(reset - self._wall()), 1)


def _counts(address: str) -> tuple[tuple[RateLimitItem, str], ...]:
    return (OF_ONE, network(address)), (OF_ALL, EVERYBODY)

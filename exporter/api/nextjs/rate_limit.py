"""How often one address may ask: in windows of a minute that begin with the first request, counted in memory, or in a
Redis that several sidecars share. `gate` asks for every request.

Counting is the library's, `limits`; Redis' client is the extra `redis`, imported only where a URL is given.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, cast

from limits import RateLimitItem, RateLimitItemPerMinute
from limits.aio.strategies import FixedWindowRateLimiter
from limits.errors import ConfigurationError

from exporter.api.client_address import network
from exporter.api.limit_storage import Windows
from exporter.errors import StartupError

if TYPE_CHECKING:
    from limits.aio.storage import RedisStorage
    from redis.asyncio import Redis

LIMIT_SECONDS = 0.5
"""No request waits longer for Redis."""
AGAIN_SECONDS = 5.0
"""After Redis has failed, it is left alone so long."""
CONNECTIONS = 8
"""To Redis, at most."""
NAMESPACE = "llama-exporter"

log = logging.getLogger(__name__)


class Verdict(NamedTuple):
    """Of one request."""

    admitted: bool
    limit: int
    remaining: int
    """Requests that the address has left in its window."""
    reset: int
    """When its window ends: UTC seconds since the epoch, rounded up."""
    seconds: int
    """Until then; at least 1."""


class RateLimit:
    """The limit for all addresses."""

    def __init__(
        self,
        requests_per_minute: int,
        redis_url: str | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """0 requests: no limit. The URL can hold a password, so nothing that is logged says it. Raises StartupError
        where it is none, or the extra is missing."""
        self._item = RateLimitItemPerMinute(requests_per_minute, namespace=NAMESPACE) if requests_per_minute else None
        self._own = Counting(FixedWindowRateLimiter(Windows(clock, wall)), wall)
        self._shared = SharedCounting(redis_url, clock, wall) if redis_url is not None and requests_per_minute else None

    async def hit(self, address: str) -> Verdict | None:
        """Count a request; None where there is no limit."""
        if self._item is None:
            return None
        name = network(address)
        verdict = await self._shared.hit(self._item, name) if self._shared is not None else None
        return verdict or await self._own.hit(self._item, name)

    async def close(self) -> None:
        """Leave Redis."""
        if self._shared is not None:
            await self._shared.close()


class Counting:
    """Counts in one place."""

    def __init__(self, limiter: FixedWindowRateLimiter, wall: Callable[[], float]) -> None:
        self._limiter = limiter
        self._wall = wall

    async def hit(self, item: RateLimitItem, name: str) -> Verdict:
        """Count a request."""
        admitted = await self._limiter.hit(item, name)
        stats = await self._limiter.get_window_stats(item, name)
        seconds = max(math.ceil(stats.reset_time - self._wall()), 1)
        return Verdict(admitted, item.amount, int(stats.remaining), math.ceil(stats.reset_time), seconds)


class SharedCounting:
    """Counts in a Redis, as long as it is there."""

    def __init__(self, url: str, clock: Callable[[], float], wall: Callable[[], float]) -> None:
        self._storage = _storage(url)
        self._counting = Counting(FixedWindowRateLimiter(self._storage), wall)
        self._clock = clock
        self._failures = _failures(self._storage)
        self._places = asyncio.Semaphore(CONNECTIONS)
        self._is_away = False
        self._again_at = -math.inf

    async def hit(self, item: RateLimitItem, name: str) -> Verdict | None:
        """Count a request; None where Redis does not answer."""
        if self._clock() < self._again_at:
            return None
        if self._is_away:
            self._again_at = self._clock() + AGAIN_SECONDS  # this request finds out, the others need not wait
        try:
            async with asyncio.timeout(LIMIT_SECONDS), self._places:
                verdict = await self._counting.hit(item, name)
        except self._failures as error:
            await self._note_away(type(error).__name__)
            return None
        if self._is_away:
            self._is_away, self._again_at = False, -math.inf
            log.info("requests are counted in Redis again")
        return verdict

    async def close(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    async def _note_away(self, kind: str) -> None:
        self._again_at = self._clock() + AGAIN_SECONDS
        if not self._is_away:
            self._is_away = True
            log.warning("Redis does not count requests; each sidecar counts its own meanwhile", extra={"error": kind})
        await self._client.connection_pool.disconnect()

    @property
    def _client(self) -> Redis:
        return cast("Redis", self._storage.bridge.get_connection())  # type: ignore[attr-defined]


def _storage(url: str) -> RedisStorage:
    try:
        from limits.aio.storage import RedisStorage  # noqa: PLC0415 - only where it is wanted
        from redis.asyncio.retry import Retry  # noqa: PLC0415 - the extra
        from redis.backoff import NoBackoff  # noqa: PLC0415 - the extra
    except ImportError:
        raise StartupError(
            "rate_limit.redis_url needs the extra `redis`: pip install '.[redis]' in a checkout"
        ) from None
    try:
        # Protocol 2: every Redis speaks it. One more try: a connection may have ended while it was idle.
        options: dict[str, object] = {"protocol": 2, "retry": Retry(NoBackoff(), 1)}
        return RedisStorage(f"async+{url}", implementation="redispy", **options)  # type: ignore[arg-type]
    except (ValueError, ConfigurationError):
        raise StartupError("rate_limit.redis_url must look like redis://127.0.0.1:6379") from None


def _failures(storage: RedisStorage) -> tuple[type[Exception], ...]:
    """What a Redis that is not well can lead to."""
    own = storage.base_exceptions
    return (TimeoutError, OSError, ValueError, *(own if isinstance(own, tuple) else (own,)))

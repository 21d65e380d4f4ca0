"""How much memory the Redis beside the applications uses; `sampler` asks it in the event loop.

Redis' client is the extra `redis`, imported only where `sampling.redis_url` is set.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from exporter.errors import CollectorError, StartupError
from exporter.system.snapshot import RedisSnapshot

if TYPE_CHECKING:
    from redis.asyncio import Redis

LIMIT_SECONDS = 2.0
"""Longest wait for a sample, connecting included."""


class RedisCollector:
    """Asks one Redis for `INFO memory` over a connection that it keeps."""

    name = "redis"

    def __init__(self, url: str, *, limit_seconds: float = LIMIT_SECONDS) -> None:
        """`url` can hold a password, so no error ever says it. Raises StartupError without the extra, or for no URL."""
        self.longest_interval_seconds = math.inf
        self._limit_seconds = limit_seconds
        self._client = _client(url)

    async def collect(self) -> RedisSnapshot:
        """Ask once. Raises CollectorError; the next sample then begins with a new connection."""
        try:
            async with asyncio.timeout(self._limit_seconds):
                return read_memory(await self._ask())
        except BaseException as error:  # cancelled in the middle of an answer, too
            await self._client.connection_pool.disconnect()
            words = _words(error)
            if words is None:
                raise
            raise CollectorError(words) from None

    async def close(self) -> None:
        """Close the connection."""
        await self._client.aclose()

    async def _ask(self) -> Mapping[str, Any]:
        from redis.exceptions import AuthenticationError, ConnectionError  # noqa: A004, PLC0415 - the extra

        try:
            return cast(Mapping[str, Any], await self._client.info("memory"))
        except AuthenticationError:
            raise
        except ConnectionError:  # it may have been restarted since the last sample
            await self._client.connection_pool.disconnect()
            return cast(Mapping[str, Any], await self._client.info("memory"))


def read_memory(info: Mapping[str, Any]) -> RedisSnapshot:
    """`used_memory` out of an answer to INFO. Raises CollectorError where there is none."""
    used = info.get("used_memory")
    if not isinstance(used, int) or used < 0:
        raise CollectorError("Redis does not say how much memory it uses")
    return RedisSnapshot(used_memory_bytes=used)


def _client(url: str) -> Redis:
    try:
        from redis.asyncio import Redis  # noqa: PLC0415 - the extra
        from redis.asyncio.retry import Retry  # noqa: PLC0415 - the extra
        from redis.backoff import NoBackoff  # noqa: PLC0415 - the extra
    except ImportError:
        raise StartupError("sampling.redis_url needs the extra `redis`: pip install '.[redis]' in a checkout") from None
    try:
        # Protocol 2: every Redis speaks it, also to users whose rights end at INFO.
        return Redis.from_url(url, protocol=2, retry=Retry(NoBackoff(), 0))
    except ValueError:
        # Its words can hold a piece of the password, where that was not escaped.
        raise StartupError("sampling.redis_url: must be redis://[user:password@]host:port, with %-escapes") from None


def _words(error: BaseException) -> str | None:
    """What went wrong, without addresses; None for what is not Redis' doing."""
    from redis import exceptions  # noqa: PLC0415 - the extra

    causes: tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], str], ...] = (
        ((TimeoutError, exceptions.TimeoutError), "Redis does not answer in time"),
        (exceptions.AuthenticationError, "Redis refuses the name or the password"),
        (exceptions.NoPermissionError, "Redis does not let this user ask INFO"),
        (exceptions.BusyLoadingError, "Redis is loading its data"),
        ((OSError, exceptions.ConnectionError), "Redis cannot be reached"),
        (exceptions.RedisError, "Redis answers, but not as it should"),
    )
    return next((words for kinds, words in causes if isinstance(error, kinds)), None)

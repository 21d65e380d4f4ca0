"""How often one address may ask: counted in a real Redis that several sidecars share, and what happens without it."""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

pytest.importorskip("redis", reason="needs the extra: pip install 'llama-exporter[redis]'")

from exporter.api.nextjs import rate_limit
from exporter.api.nextjs.rate_limit import RateLimit
from exporter.errors import StartupError
from tests.ports import free_ports
from tests.serving import until
from tests.system.redis_server import RedisServer

SECRET = "open-sesame"
AWAY = "Redis does not count requests; each sidecar counts its own meanwhile"
BACK = "requests are counted in Redis again"


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(next(free_ports()), tmp_path, password=SECRET) as server:
        yield server


@pytest.fixture
async def two(redis: RedisServer) -> AsyncIterator[tuple[RateLimit, RateLimit]]:
    """Two sidecars."""
    both = RateLimit(100, redis.url), RateLimit(100, redis.url)
    yield both
    for each in both:
        await each.close()


async def admitted(limit: RateLimit, count: int, address: str = "10.0.0.1") -> int:
    verdicts = [await limit.hit(address) for _ in range(count)]
    return sum(verdict is not None and verdict.admitted for verdict in verdicts)


async def test_two_sidecars_count_together(two: tuple[RateLimit, RateLimit]) -> None:
    first, second = two
    assert await admitted(first, 60) == 60
    assert await admitted(second, 60) == 40
    assert await admitted(first, 5) == 0
    assert await admitted(first, 5, "10.0.0.2") == 5
    verdict = await second.hit("10.0.0.1")
    assert verdict is not None
    assert verdict.remaining == 0
    assert 1 <= verdict.seconds <= 60
    assert 0 <= verdict.reset - time.time() <= 61


async def test_many_at_once(two: tuple[RateLimit, RateLimit]) -> None:
    verdicts = await asyncio.gather(*(each.hit("10.0.0.1") for each in two for _ in range(75)))
    assert sum(verdict is not None and verdict.admitted for verdict in verdicts) == 100


async def test_without_redis_each_counts_its_own_and_says_so_once(
    redis: RedisServer, two: tuple[RateLimit, RateLimit], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    first, second = two
    await first.hit("10.0.0.1")
    redis.stop()
    assert await admitted(first, 120) == 100
    assert await admitted(second, 120) == 100
    assert [record.message for record in caplog.records] == [AWAY, AWAY], "once from each"
    assert SECRET not in caplog.text


async def test_redis_comes_back(
    redis: RedisServer,
    two: tuple[RateLimit, RateLimit],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(rate_limit, "AGAIN_SECONDS", 0.05)
    first, second = two
    redis.stop()
    assert await admitted(first, 3) == 3
    redis.start()

    async def counts() -> bool:
        await first.hit("10.0.0.3")
        return BACK in caplog.messages

    async with asyncio.timeout(20):
        while not await counts():
            await asyncio.sleep(0.01)
    assert await admitted(first, 60, "10.0.0.9") == 60
    assert await admitted(second, 60, "10.0.0.9") == 40


async def test_a_redis_that_says_nothing_holds_up_nobody_for_long(
    redis: RedisServer, two: tuple[RateLimit, RateLimit], caplog: pytest.LogCaptureFixture
) -> None:
    first, _ = two
    await first.hit("10.0.0.1")
    redis.freeze()
    try:
        async with asyncio.timeout(15):
            assert await admitted(first, 30) == 30, "only the first of them waits"
    finally:
        redis.thaw()
    assert AWAY in caplog.messages


async def test_idle_connections_that_have_ended_cost_nothing(
    redis: RedisServer, two: tuple[RateLimit, RateLimit]
) -> None:
    first, second = two
    await first.hit("10.0.0.1")
    redis.stop()
    redis.start()
    assert await admitted(first, 60) == 60
    assert await admitted(second, 60) == 40


async def test_connections_are_few_and_closed(redis: RedisServer) -> None:
    limit = RateLimit(1000, redis.url)
    await asyncio.gather(*(limit.hit(f"10.0.0.{number}") for number in range(100)))
    clients = redis_clients(redis)
    assert 1 <= clients <= rate_limit.CONNECTIONS
    await limit.close()
    await until(lambda: redis_clients(redis) == 0)


async def test_a_wrong_password_is_as_if_it_were_away(redis: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    limit = RateLimit(5, redis.url.replace(SECRET, "another-secret"))
    assert await admitted(limit, 8) == 5
    await limit.close()
    assert AWAY in caplog.messages
    assert "another-secret" not in caplog.text


def test_the_extra_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis.asyncio.retry", None)
    with pytest.raises(StartupError, match="needs the extra `redis`"):
        RateLimit(10, "redis://127.0.0.1:6379")


def redis_clients(redis: RedisServer) -> int:
    """Connections to it, without the one that asks."""
    said = redis.ask("AUTH", f"{SECRET}\r\nINFO clients").splitlines()
    if not any(line.startswith("connected_clients:") for line in said):
        return -1
    (line,) = (line for line in said if line.startswith("connected_clients:"))
    return int(line.removeprefix("connected_clients:")) - 1

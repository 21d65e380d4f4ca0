"""How often one address may ask: counted in memory."""

from __future__ import annotations

import asyncio

import pytest

from exporter.api.nextjs.rate_limit import RateLimit, Verdict
from exporter.errors import StartupError
from tests.api.views import WALL, Clock


def limiting(per_minute: int = 100) -> tuple[RateLimit, Clock]:
    clock = Clock()
    return RateLimit(per_minute, clock=clock, wall=clock.wall), clock


async def test_exactly_so_many_are_admitted() -> None:
    limit, clock = limiting()
    verdicts = [await limit.hit("10.0.0.1") for _ in range(102)]
    assert verdicts[0] == Verdict(True, 100, 99, int(WALL) + 60, 60)
    assert [verdict.admitted for verdict in verdicts if verdict] == [True] * 100 + [False] * 2
    assert [verdict.remaining for verdict in verdicts if verdict] == [*range(99, -1, -1), 0, 0]
    clock.now += 59.5
    assert await limit.hit("10.0.0.1") == Verdict(False, 100, 0, int(WALL) + 60, 1)
    clock.now += 0.5
    assert await limit.hit("10.0.0.1") == Verdict(True, 100, 99, int(WALL) + 120, 60), "a new minute"


async def test_a_minute_begins_with_the_first_request() -> None:
    limit, clock = limiting(2)
    first = await limit.hit("10.0.0.1")
    clock.now += 30
    second = await limit.hit("10.0.0.1")
    assert first is not None
    assert second is not None
    assert (second.reset, second.seconds) == (first.reset, 30)


async def test_addresses_are_counted_each_by_itself() -> None:
    limit, _ = limiting(1)
    for address in ("10.0.0.1", "10.0.0.2", "2001:db8::1", "2001:db8:0:1::1", ""):
        first, second = await limit.hit(address), await limit.hit(address)
        assert first is not None
        assert second is not None
        assert (first.admitted, second.admitted) == (True, False)


async def test_0_is_no_limit() -> None:
    limit, _ = limiting(0)
    assert [await limit.hit("10.0.0.1") for _ in range(3)] == [None] * 3


async def test_many_at_once_are_not_miscounted() -> None:
    limit, _ = limiting(50)
    verdicts = await asyncio.gather(*(limit.hit("10.0.0.1") for _ in range(80)))
    assert sum(verdict is not None and verdict.admitted for verdict in verdicts) == 50


@pytest.mark.parametrize("url", ["redis://127.0.0.1:not-a-port", "redis://127.0.0.1:6379/x?db=y"])
def test_a_url_that_is_none(url: str) -> None:
    with pytest.raises(StartupError, match=r"rate_limit\.redis_url must look like"):
        RateLimit(10, url)

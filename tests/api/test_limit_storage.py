"""Counting in memory stays small and quick, whoever comes."""

from __future__ import annotations

import pytest

from exporter.api import limit_storage as module
from exporter.api.limit_storage import ADDRESSES, SWEPT, Windows
from tests.api.views import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


async def test_what_is_over_is_forgotten_as_others_come(clock: Clock) -> None:
    windows = Windows(clock, clock.wall)
    for number in range(1000):
        await windows.incr(str(number), 60)
    clock.now += 60
    assert await windows.get("5") == 0
    for number in range(1000 // SWEPT):
        assert await windows.incr(f"new {number}", 60) == 1
    assert len(windows) == 1000 // SWEPT


async def test_a_million_addresses_take_no_more_room_than_some(clock: Clock) -> None:
    windows = Windows(clock, clock.wall)
    for number in range(ADDRESSES + 20_000):
        await windows.incr(str(number), 60)
    assert len(windows) == ADDRESSES
    assert await windows.get("0") == 0, "the oldest is forgotten"
    assert await windows.get(str(ADDRESSES)) == 1


async def test_one_that_is_counted_keeps_its_window_when_others_are_forgotten(clock: Clock) -> None:
    windows = Windows(clock, clock.wall, addresses=2)
    await windows.incr("a", 60)
    await windows.incr("b", 60)
    assert await windows.incr("b", 60) == 2
    await windows.incr("c", 60)
    assert [await windows.get(key) for key in "abc"] == [0, 2, 1]


async def test_a_window_that_is_over_begins_anew_at_the_end_of_the_line(clock: Clock) -> None:
    windows = Windows(clock, clock.wall, addresses=2)
    await windows.incr("a", 60)
    clock.now += 30
    await windows.incr("b", 60)
    clock.now += 30
    assert await windows.incr("a", 60) == 1
    assert await windows.get_expiry("a") == clock.wall() + 60
    clock.now += 30
    await windows.incr("c", 60)
    assert [await windows.get(key) for key in "abc"] == [1, 0, 1]


async def test_so_it_is_where_more_are_over_than_can_be_forgotten_in_one_go(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SWEPT", 0)
    windows = Windows(clock, clock.wall, addresses=2)
    await windows.incr("a", 60)
    await windows.incr("b", 60)
    clock.now += 60
    assert await windows.incr("a", 60) == 1
    await windows.incr("c", 60)
    assert [await windows.get(key) for key in "abc"] == [1, 0, 1]


async def test_the_rest_of_what_the_library_asks_for(clock: Clock) -> None:
    windows = Windows(clock, clock.wall)
    await windows.incr("a", 60, amount=3)
    assert await windows.check() is True
    assert await windows.get("a") == 3
    await windows.clear("a")
    assert await windows.get("a") == 0
    assert await windows.get_expiry("a") == clock.wall()
    await windows.incr("b", 60)
    assert await windows.reset() == 1
    assert len(windows) == 0

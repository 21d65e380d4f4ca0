"""The parts that need no server."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from exporter.api.nextjs.live.sockets import delivery
from exporter.api.nextjs.live.sockets.clients import MESSAGES_PER_MINUTE, OUTBOX_LIMIT, Minute, Outbox, Traffic
from exporter.api.nextjs.live.sockets.delivery import Delivery
from exporter.api.nextjs.live.sockets.jobs import LIMIT, LIMIT_PER_CLIENT, Jobs
from exporter.api.nextjs.live.sockets.packets import error_packet, packet
from exporter.api.nextjs.live.sockets.ticker import Ticker
from exporter.api.nextjs.recent import Recent
from tests.api.views import Clock
from tests.serving import until


def test_a_minute_of_messages() -> None:
    minute = Minute()
    assert all(minute.take(100.0) for _ in range(MESSAGES_PER_MINUTE))
    assert not minute.take(159.9)
    assert minute.left_seconds(159.0) == 1.0
    assert minute.take(160.0)
    assert minute.left_seconds(1000.0) == 0.0


def test_messages_per_second() -> None:
    clock = Clock()
    traffic = Traffic(clock)
    for _ in range(60):
        traffic.note()
        traffic.note()
        clock.now += 1
    assert traffic.per_second() == pytest.approx(118 / 60)
    clock.now += 30
    assert traffic.per_second() == pytest.approx(58 / 60)
    clock.now += 1e6
    assert traffic.per_second() == 0


async def test_what_finds_no_room_is_dropped() -> None:
    clock = Clock()
    box = Outbox(clock)
    for number in range(OUTBOX_LIMIT):
        assert box.offer(number)
    assert box.full_seconds() == 0
    await box.put("ping")
    assert not box.offer("update")
    clock.now += 10
    assert box.full_seconds() == 10
    await box.put(None)
    for _ in range(OUTBOX_LIMIT // 2):
        box.get_nowait()
    assert box.offer("update")
    assert box.full_seconds() == 10
    for _ in range(3):
        box.get_nowait()
    assert box.offer("update")
    assert box.full_seconds() == 0
    left = [box.get_nowait() for _ in range(box.qsize())]
    assert left[-3:] == [None, "update", "update"]


def test_events_are_encoded_once() -> None:
    made = packet("/metrics", "metrics:update", {"cpu": 1.5, "text": "é\x1e"})
    assert made.encode() == '42/metrics,["metrics:update",{"cpu":1.5,"text":"é\\u001e"}]'
    assert made.encode() is made.encode()
    assert packet("/", "a", None).encode() == '42["a",null]'
    assert error_packet("/", "CODE", "why", retryIn=1, more=2).encode() == (
        '42["error",{"code":"CODE","message":"why","reconnect":false,"retryIn":1,"more":2}]'
    )


async def test_a_beat() -> None:
    clock = asyncio.get_running_loop().time
    ticker = Ticker(clock)
    moment = clock() + 3600
    waiting = asyncio.get_running_loop().create_task(ticker.wait(lambda: moment))
    await asyncio.sleep(0)
    assert not waiting.done()
    moment = clock()
    await asyncio.sleep(0)
    assert not waiting.done()
    ticker.changed()
    assert not await asyncio.wait_for(waiting, 5)
    moment = clock() + 3600
    ticker.nudge()
    assert await asyncio.wait_for(ticker.wait(lambda: moment), 5)


class Listener:
    """A client, as far as delivery know it."""

    def __init__(self, heard: list[Any]) -> None:
        self.id = "x"
        self._heard = heard

    def send(self, each: Any) -> bool:
        self._heard.append(each)
        return True


async def test_rounds_are_bounded_and_in_order() -> None:
    heard: list[Any] = []
    clients: Any = [Listener(heard)]
    handing: Any = Delivery()
    for number in range(delivery.LIMIT + 10):
        handing.post(number, clients)
    handing.post("for nobody", ())
    running = asyncio.get_running_loop().create_task(handing.run())
    await until(lambda: len(heard) == delivery.LIMIT)
    assert heard == list(range(10, delivery.LIMIT + 10))
    handing.post("one more", clients)
    await until(lambda: heard[-1] == "one more")
    running.cancel()


async def test_errands_are_bounded() -> None:
    gate = asyncio.Event()
    ended: list[int] = []

    async def wait() -> None:
        await gate.wait()
        ended.append(1)

    def client(name: str) -> Any:
        found = Listener([])
        found.id = name
        return found

    jobs = Jobs()
    assert [jobs.run(client("a"), wait) for _ in range(LIMIT_PER_CLIENT + 1)][-2:] == [True, False]
    begun = sum(jobs.run(client(str(number)), wait) for number in range(LIMIT * 2))
    assert begun == LIMIT - LIMIT_PER_CLIENT
    gate.set()
    await until(lambda: len(ended) == LIMIT)
    assert jobs.run(client("a"), wait)
    jobs.close()
    await asyncio.sleep(0)


def test_what_was_started_a_moment_ago() -> None:
    clock = Clock()
    recent = Recent(clock)
    recent.note("a")
    clock.now += 3
    assert recent.within("a", 3)
    assert not recent.within("b", 3)
    clock.now += 0.1
    assert not recent.within("a", 3)
    for number in range(2000):
        recent.note(str(number))
    assert not recent.within("500", 3)
    assert recent.within("1999", 3)

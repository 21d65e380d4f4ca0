"""Who is in flight, and when an upstream last worked."""

from __future__ import annotations

import asyncio

from exporter.live.active import ActiveRequests
from exporter.observe.observation import Look, Observation


def observation(upstream: str | None) -> Observation:
    made = Observation(
        now=0.0,
        wall=0.0,
        request_id="1",
        method="POST",
        path="/v1/chat/completions",
        query=b"",
        headers=[],
        look=Look(),
    )
    if upstream is not None:
        made.route(upstream=upstream, provider="llama_cpp", tier="Q4")
    return made


def test_starts_and_ends_are_followed() -> None:
    active = ActiveRequests()
    one, two = observation("a"), observation(None)
    active.start(one)
    active.start(two)
    assert len(active) == 2
    assert set(active) == {one, two}
    active.end(two, 1.0)
    assert set(active) == {one}
    assert active.version == 3


def test_last_active() -> None:
    active = ActiveRequests()
    one = observation("a")
    assert active.last_active("a", 5.0) is None
    active.start(one)
    assert active.last_active("a", 5.0) == 5.0
    active.end(one, 7.0)
    assert active.last_active("a", 9.0) == 7.0
    assert active.last_active("b", 9.0) is None


async def test_waiting_for_a_change() -> None:
    active = ActiveRequests()
    waiters = [asyncio.ensure_future(active.changed(0)) for _ in range(3)]
    await asyncio.sleep(0)
    assert not any(waiter.done() for waiter in waiters)
    active.start(observation("a"))
    active.start(observation("b"))
    assert await asyncio.gather(*waiters) == [2, 2, 2], "what happened in between is not told twice"
    assert await active.changed(0) == 2, "who comes late does not wait"


async def test_a_waiter_that_gives_up_leaves_the_others_waiting() -> None:
    active = ActiveRequests()
    impatient, patient = (asyncio.ensure_future(active.changed(0)) for _ in range(2))
    await asyncio.sleep(0)
    impatient.cancel()
    await asyncio.sleep(0)
    assert not patient.done()
    active.start(observation("a"))
    assert await patient == 1

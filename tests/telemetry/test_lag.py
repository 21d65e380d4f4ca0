import asyncio
import time
from itertools import count

from exporter.tasks import cancel, spawn
from exporter.telemetry.lag import EventLoopLag
from tests.telemetry.examples import BUCKETS


async def observed(lag: EventLoopLag, at_least: int) -> list[int]:
    """Run until there are that many observations."""
    (family,) = lag.families()
    running = spawn(lag.run(), name="lag")
    while family.series().count < at_least:
        await asyncio.sleep(0)
    await cancel(running)
    return family.series().counts


async def test_lateness_is_observed() -> None:
    # Each look at the clock finds it 0.7 s later than the one before; the timer was for 0.2 s.
    ticks = count(0, 1)
    lag = EventLoopLag(BUCKETS.event_loop_lag, interval_seconds=0.2, clock=lambda: next(ticks) * 0.7)
    counts = await asyncio.wait_for(observed(lag, 2), 10)
    assert counts[BUCKETS.event_loop_lag.index(0.5)] >= 2
    assert sum(counts) == counts[BUCKETS.event_loop_lag.index(0.5)]


async def test_a_timer_that_is_early_is_not_late() -> None:
    lag = EventLoopLag(BUCKETS.event_loop_lag, interval_seconds=0.001, clock=lambda: 5.0)
    counts = await asyncio.wait_for(observed(lag, 3), 10)
    assert counts[0] == sum(counts)


async def test_a_busy_event_loop_shows() -> None:
    lag = EventLoopLag(BUCKETS.event_loop_lag, interval_seconds=0.001)
    (family,) = lag.families()
    running = spawn(lag.run(), name="lag")
    while family.series().count == 0:
        await asyncio.sleep(0)
    busy_until = time.monotonic() + 0.03
    while time.monotonic() < busy_until:
        pass
    while family.series().total < 0.02:
        await asyncio.sleep(0)
    await cancel(running)
    assert sum(family.series().counts[4:]) >= 1

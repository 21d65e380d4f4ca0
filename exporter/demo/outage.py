"""One engine of the demo dies and comes back, again and again, while the traffic goes on. `run` starts it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from exporter.demo.engines import Engines
from exporter.errors import StartupError

RETRY_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Schedule:
    """When the engine is away, in seconds."""

    first_after: float = 20.0
    """Since the start."""
    lasts: float = 10.0
    every: float = 60.0
    """From one death to the next."""


SHORTEST_TO_SHOW_ALL_SECONDS = 45.0
"""A demo that lasts so long has a time before, within, and after an outage."""


def schedule(duration_seconds: float | None) -> Schedule:
    """The usual times; a demo too short for them gets the same at a faster pace."""
    usual = Schedule()
    if duration_seconds is None or duration_seconds >= SHORTEST_TO_SHOW_ALL_SECONDS:
        return usual
    pace = duration_seconds / SHORTEST_TO_SHOW_ALL_SECONDS
    return Schedule(usual.first_after * pace, usual.lasts * pace, usual.every * pace)


async def run_outages(engines: Engines, tier: str, times: Schedule, tell: Callable[[str], None]) -> None:
    """Kill the engine of that tier and bring it back, until cancelled. `tell` is given a line at each turn."""
    clock = asyncio.get_running_loop().time
    due = clock() + times.first_after
    while True:
        await asyncio.sleep(max(0.0, due - clock()))
        await engines.kill(tier)
        tell(f"{tier} stopped: killed, as in a crash; back in {times.lasts:.0f} s")
        await asyncio.sleep(times.lasts)
        await _bring_back(engines, tier, tell)
        tell(f"{tier} back")
        due += times.every


async def _bring_back(engines: Engines, tier: str, tell: Callable[[str], None]) -> None:
    while True:
        try:
            return await engines.bring_back(tier)
        except StartupError as error:
            tell(f"{tier} still stopped: {error}")
            await asyncio.sleep(RETRY_SECONDS)

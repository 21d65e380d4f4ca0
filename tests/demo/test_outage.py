from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from exporter.demo import outage
from exporter.demo.engine import EngineOptions
from exporter.demo.engines import Engines
from exporter.demo.outage import Schedule, run_outages, schedule
from exporter.tasks import cancel, spawn


@pytest.mark.parametrize("duration", [None, 45.0, 3600.0])
def test_usual_times(duration: float | None) -> None:
    assert schedule(duration) == Schedule(first_after=20, lasts=10, every=60)


@pytest.mark.parametrize("duration", [2.0, 10.0, 30.0, 44.9])
def test_short_demo_shows_a_whole_outage_and_what_comes_after_it(duration: float) -> None:
    times = schedule(duration)
    assert times.first_after > duration / 3
    assert times.lasts > duration / 5
    assert duration - (times.first_after + times.lasts) > duration / 4
    assert times.every > duration


async def outages(engines: Engines, times: Schedule, tell: Callable[[str], None], until: Callable[[], bool]) -> None:
    """Run them until this is so."""
    running = spawn(run_outages(engines, "Q3", times, tell), name="outages")
    async with asyncio.timeout(20):
        while not until() and not running.done():
            await asyncio.sleep(0.005)
    await cancel(running)
    assert running.cancelled()


async def test_engine_goes_and_comes_back_again_and_again(tiny_model: Path) -> None:
    told: list[str] = []
    async with Engines({"Q3": EngineOptions(model=tiny_model)}) as engines:
        await outages(engines, Schedule(0.01, 0.02, 0.05), told.append, lambda: len(told) >= 3)
        engines.check()
    assert told[:3] == ["Q3 stopped: killed, as in a crash; back in 0 s", "Q3 back", told[0]]


async def test_engine_that_does_not_come_back_is_tried_again(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outage, "RETRY_SECONDS", 0.01)
    told: list[str] = []
    taken = socket.socket()
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)

    def tell(line: str) -> None:
        told.append(line)
        if len(told) == 1:
            taken.bind(("127.0.0.1", port))
            taken.listen()
        elif len(told) == 2:
            taken.close()

    with taken:
        async with Engines({"Q3": EngineOptions(model=tiny_model)}) as engines:
            port = int(engines.urls["Q3"].rpartition(":")[2])
            await outages(engines, Schedule(0, 0.01, 100), tell, lambda: "Q3 back" in told)
            assert httpx.get(f"{engines.urls['Q3']}/health", trust_env=False).status_code == 200
    assert re.match(r"Q3 still stopped: the engine did not start: .*couldn't bind", told[1])

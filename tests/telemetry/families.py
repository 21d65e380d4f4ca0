"""Families as small or as large as a test wants them, and what goes on beside whoever reads them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count

from exporter.tasks import cancel, spawn
from exporter.telemetry.catalog import Feed, Kind, Metric
from exporter.telemetry.instruments import Counter, Histogram
from exporter.telemetry.lines import AnyFamily
from tests.telemetry.examples import BUCKETS, R_LABELS

THINGS = Metric("test_things", Kind.COUNTER, "Things.", Feed.SELF, unit="things", labels=("kind",))
STATE = Metric("test_state", Kind.GAUGE, "State.", Feed.SELF, labels=("number",))
WAIT = Metric("test_wait_seconds", Kind.HISTOGRAM, "Waiting.", Feed.SELF, unit="seconds", labels=R_LABELS)


class Source:
    """Fixed families."""

    def __init__(self, *families: AnyFamily) -> None:
        self._families = families

    def families(self) -> tuple[AnyFamily, ...]:
        return self._families


def histogram(series: int) -> Histogram:
    """One of so many series."""
    family = Histogram(WAIT, BUCKETS.ttft)
    for number in range(series):
        family.series(("chat", "llama_cpp", f"model-{number}", "Q4", "gpu-0")).observe(number % 7)
    return family


@asynccontextmanager
async def neighbour() -> AsyncIterator[list[None]]:
    """Another coroutine on the event loop: one entry for each turn that it gets meanwhile."""
    turns: list[None] = []

    async def take_turns() -> None:
        while True:
            turns.append(None)
            await asyncio.sleep(0)

    taking = spawn(take_turns(), name="neighbour")
    yield turns
    await cancel(taking)


@asynccontextmanager
async def requests_into(family: Histogram, counter: Counter) -> AsyncIterator[None]:
    """Requests are counted at every turn meanwhile, some of them in new series."""

    async def traffic() -> None:
        for number in count():
            for series in family.all():
                series.observe(3.0)
            family.series(("chat", "llama_cpp", f"new-{number}", "Q4", "gpu-0")).observe(1.0)
            counter.series((str(number),)).inc()
            await asyncio.sleep(0)

    requests = spawn(traffic(), name="traffic")
    yield
    await cancel(requests)

"""Pieces of the model manager, each in a process of its own, so that the memory that it takes can be seen.

`python -m tests.bench.apart PIECE PATH [COUNT]` does one thing, and prints what was measured as JSON: a list of seconds
(`list`: of the first call and of later ones; `register`: of the whole, and of the longest time for which the event loop
was held), and what the memory grew by at most. What is not to be measured is imported before that.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import uvloop

from tests.bench.processes import forget_peak, peak_bytes, resident_bytes

TICK_SECONDS = 0.001
AT_ONCE = 1000
"""Models that are registered at once, as many as the contract takes."""
CHANGES = 5
"""Of the parameters of all models; each has every model made anew."""
LATER_CALLS = 20


@dataclass(frozen=True, slots=True)
class Piece:
    """What one process has measured."""

    seconds: tuple[float, ...]
    added_bytes: int | None
    """Resident memory at most, beyond what it was before; None where nobody keeps that."""


def measure(work: Callable[[], object]) -> Piece:
    """Do it once; what it returns is kept until the memory has been looked at."""
    gc.collect()
    before = resident_bytes((os.getpid(),))
    forget_peak()
    began = time.perf_counter()
    made = work()
    seconds, peak = time.perf_counter() - began, peak_bytes()
    del made
    return Piece((seconds,), None if peak is None else max(0, peak - before))


def header(path: Path) -> Piece:
    """Our own look at the header of a model file."""
    read_header = importlib.import_module("exporter.models.files.gguf").read_header
    return measure(lambda: read_header(path))


def reader(path: Path) -> Piece:
    """That of the package `gguf`, which keeps everything. Raises ImportError without it."""
    read = importlib.import_module("gguf").GGUFReader
    return measure(lambda: read(path))


def discover(path: Path, count: int) -> Piece:
    """Looking for all models of a folder."""
    discovery = importlib.import_module("exporter.models.files.discovery")
    model = importlib.import_module("exporter.models.model")
    places = importlib.import_module("exporter.models.files.places").Places([str(path)])

    def look() -> object:
        found = discovery.discover(places, model.Search(), None)
        assert len(found.files) == count, found.errors[:3]
        return found

    return measure(look)


async def list_all(path: Path, count: int) -> Piece:
    """`Models.all()`, behind a router that knows all of them: the first call after a change that makes every model
    anew, and one when nothing has changed."""
    from tests.models.fake_router import FakeRouter  # noqa: PLC0415 - only here: it takes memory
    from tests.models.house import behind  # noqa: PLC0415

    async with FakeRouter().run() as fake:
        house = behind(fake, path.parent / f"list-{count}")
        house.root = path
        async with house.run() as models:
            for start in range(0, count, AT_ONCE):
                await models.register(entries(path, start, min(start + AT_ONCE, count)))
            gc.collect()
            gc.freeze()  # as the sidecar does
            first = []
            for number in range(CHANGES):
                await house.runtime.change({"options": {"temperature": number / CHANGES}})
                first.append(timed(models.all, count))
            later = [timed(models.all, count) for _ in range(LATER_CALLS)]
    return Piece((median(first), median(later)), None)


def timed(all_models: Callable[[], Sequence[object]], count: int) -> float:
    """Seconds of one call."""
    began = time.perf_counter()
    found = all_models()
    seconds = time.perf_counter() - began
    assert len(found) >= count
    return seconds


async def register(path: Path, count: int) -> Piece:
    """Registering so many models at once, with a store and without a router."""
    from tests.models.house import House  # noqa: PLC0415 - only here: it takes memory

    folder = path.parent / f"register-{os.getpid()}"
    folder.mkdir()
    async with open_shelf(folder / "history.db") as shelf:
        house = House(path, folder / "models.ini", shelf=shelf)
        async with house.run() as models:
            seconds, longest = await watched(models.register(entries(path, 0, count)))
            assert len(models.all()) == len(await shelf.all()) == count
    return Piece((seconds, longest), None)


@contextlib.asynccontextmanager
async def open_shelf(path: Path) -> AsyncIterator[Any]:
    """Where a store in a SQLite file keeps models."""
    from exporter.settings.store import StoreSettings  # noqa: PLC0415
    from exporter.store.store import Store  # noqa: PLC0415 - takes 30 MB
    from exporter.tasks import Supervisor  # noqa: PLC0415

    store = Store(f"sqlite:///{path}", StoreSettings(), "bench", model_of=lambda _: None, on_open=lambda _: None)
    supervisor = Supervisor()
    for name, work in store.work.items():
        supervisor.start(name, work)
    try:
        while not store.writer.is_open:
            await asyncio.sleep(0.01)
        yield store.models
    finally:
        await supervisor.stop()


def entries(path: Path, start: int, end: int) -> list[Mapping[str, Any]]:
    """What is sent to register some of the files."""
    return [{"name": f"m{number}", "path": str(path / file_name(number))} for number in range(start, end)]


def file_name(number: int) -> str:
    """Of one of many models."""
    return f"m{number:05}.gguf"


async def watched(work: Awaitable[object]) -> tuple[float, float]:
    """Seconds that it takes, and for how long it held the event loop at most: so late was a timer of a millisecond."""
    times: list[float] = []

    async def tick() -> None:
        while True:
            times.append(time.perf_counter())
            await asyncio.sleep(TICK_SECONDS)

    async with asyncio.TaskGroup() as group:
        ticking = group.create_task(tick())
        await asyncio.sleep(10 * TICK_SECONDS)
        began = time.perf_counter()
        await work
        seconds = time.perf_counter() - began
        await asyncio.sleep(TICK_SECONDS)
        ticking.cancel()
    return seconds, longest_hold(times, began)


def longest_hold(times: Sequence[float], began: float) -> float:
    """By how much the longest pause between two ticks is longer than it should be; of those that end after `began`."""
    pauses = [late - early for early, late in pairwise(times) if late >= began]
    return max(0.0, max(pauses, default=0.0) - TICK_SECONDS)


def run(piece: str, path: Path, count: int) -> Piece:
    """One of them by name."""
    match piece:
        case "header":
            return header(path)
        case "reader":
            return reader(path)
        case "discover":
            return discover(path, count)
        case "list":
            return uvloop.run(list_all(path, count))
        case "register":
            return uvloop.run(register(path, count))
        case _:
            raise ValueError(f"there is no piece {piece!r}")


if __name__ == "__main__":
    print(json.dumps(asdict(run(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 0))))

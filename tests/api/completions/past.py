"""A store in memory, and a room before it: what the tests of this room share."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import httpx
from starlette.applications import Starlette

from exporter.api import admin, completions
from exporter.api.views import Views
from exporter.errors import StoreError
from exporter.keys import KeyRing
from exporter.store.figures import (
    Cursor,
    Figures,
    Filter,
    Group,
    MachinePoint,
    Period,
    StoredCourse,
    StoredRequest,
    Sums,
)
from tests.api.views import WALL, make_views

T = TypeVar("T")
WALL_US = round(WALL) * 1_000_000
DAY_US = 86_400_000_000
AWAY = "the store cannot be read now; the log of the sidecar says why"


def stored(number: int = 1, **changes: Any) -> StoredRequest:
    """A streamed chat that went well, `number` milliseconds before now."""
    request = StoredRequest(
        id=10_000_000 - number,
        finished_us=WALL_US - number * 1000,
        duration_us=2_504_000,
        outcome="completed",
        stream=True,
        status_code=200,
        error_type=None,
        finish_reason="stop",
        model="tiny-q4",
        origin="http://chat.lan",
        message_count=5,
        input_tokens=100,
        output_tokens=50,
        ttft_us=150_000,
        last_token_us=2_500_000,
    )
    return request._replace(**changes)


class FakePast:
    """Answers from a list. Sums are made one request after the other."""

    def __init__(self, requests: Iterable[StoredRequest] = ()) -> None:
        self.requests = sorted(requests, key=lambda each: (each.finished_us, each.id), reverse=True)
        self.asked: list[tuple[Period, Cursor | None, int]] = []
        """Of every page."""
        self.periods: list[Period] = []
        """Of all figures."""
        self.points: list[MachinePoint] = []
        """Of the machine, oldest first."""
        self.charts: list[tuple[int, int, int, str]] = []
        """Start, end, step and instance of every course of a machine that was asked for."""
        self.failing = False
        self.fails_from_page = -1
        """Pages from this number on cannot be read."""

    async def figures(self, period: Period, now_us: int) -> Figures:
        self._check()
        self.periods.append(period)
        chosen = [each for each in self.requests if is_in(each, period)]
        groups: dict[Group, Sums] = {}
        for each in chosen:
            key = Group(each.outcome, each.stream, each.status_code, each.error_type, each.finish_reason, Sums())
            groups[key] = groups.get(key, Sums()).plus(sums_of(each))
        return Figures(
            tuple(key._replace(sums=sums) for key, sums in groups.items()),
            by_count(each.model for each in chosen),
            by_count(each.origin for each in chosen),
            sum(each.finished_us >= now_us - DAY_US for each in self.requests),
        )

    async def page(
        self, period: Period, after: Cursor | None, count: int, shape: Callable[[Sequence[StoredRequest]], T]
    ) -> tuple[T, Cursor | None]:
        self._check()
        if len(self.asked) == self.fails_from_page:
            raise StoreError("connection to server at 10.0.0.1 failed")
        self.asked.append((period, after, count))
        behind = [each for each in self.requests if is_in(each, period) and (after is None or place(each) < after)]
        rows = behind[:count]
        written = await asyncio.to_thread(shape, rows)
        return written, place(rows[-1]) if len(behind) > count else None

    async def newest(self, which: Filter, count: int, shape: Callable[[Sequence[StoredCourse]], T]) -> T:
        """None of them: another room asks for these."""
        self._check()
        return await asyncio.to_thread(shape, ())

    async def machine(self, start_us: int, end_us: int, step_seconds: int, instance: str) -> list[MachinePoint]:
        self._check()
        self.charts.append((start_us, end_us, step_seconds, instance))
        first_us = start_us - start_us % (step_seconds * 1_000_000)
        return [point for point in self.points if first_us <= point.start_us < end_us]

    async def check(self) -> None:
        self._check()

    def _check(self) -> None:
        if self.failing:
            raise StoreError("connection to server at 10.0.0.1 failed")


def is_in(request: StoredRequest, period: Period) -> bool:
    after_start = period.start_us is None or request.finished_us >= period.start_us
    return after_start and (period.end_us is None or request.finished_us <= period.end_us)


def place(request: StoredRequest) -> Cursor:
    return Cursor(request.finished_us, request.id)


def sums_of(request: StoredRequest) -> Sums:
    """What one request adds."""
    first, last = request.ttft_us, request.last_token_us
    if not request.stream:
        first = last = request.duration_us if request.outcome == "completed" else None
    timed = first is not None and last is not None
    has_tokens = request.input_tokens is not None or request.output_tokens is not None
    has_speed = bool(last and request.output_tokens)
    return Sums(
        requests=1,
        duration_us=request.duration_us,
        token_requests=int(has_tokens),
        input_tokens=request.input_tokens or 0,
        output_tokens=request.output_tokens or 0,
        timed_requests=int(timed),
        first_token_us=(first or 0) if timed else 0,
        last_token_us=(last or 0) if timed else 0,
        speed_requests=int(has_speed),
        speed_sum=round((request.output_tokens or 0) * 10**12 / (last or 1)) if has_speed else 0,
    )


def by_count(names: Iterable[str | None]) -> tuple[tuple[str, int], ...]:
    counts = Counter(name for name in names if name)
    return tuple(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def make_app(past: FakePast | None, keys: Sequence[str] = (), views: Views | None = None) -> Starlette:
    """The listener of its own."""
    views = views or make_views(past=past)
    return admin.application([completions.room(views)], KeyRing(keys))


@asynccontextmanager
async def client_of(past: FakePast | None, keys: Sequence[str] = ()) -> AsyncIterator[httpx.AsyncClient]:
    """A client without a server between; lists of requests need one."""
    transport = httpx.ASGITransport(make_app(past, keys))
    async with httpx.AsyncClient(transport=transport, base_url="http://completions") as client:
        yield client


async def get(path: str, past: FakePast | None) -> httpx.Response:
    async with client_of(past) as client:
        return await client.get(path)

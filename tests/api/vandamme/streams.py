"""The stream on a real server, and clients of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from exporter.api import admin
from exporter.api.room import Room
from exporter.keys import KeyRing
from exporter.live.active import ActiveRequests
from exporter.tasks import cancel
from tests.api.vandamme import dashboard
from tests.api.vandamme.traffic import in_flight, make_room
from tests.api.views import NOW, Clock, make_views
from tests.proxy.harness import RawClient, ask
from tests.serving import Serving, serving, until

PATH = "/metrics/active-requests/stream"
HEARTBEAT = ": heartbeat\n\n"


@dataclass
class Reader:
    """One client of the stream."""

    raw: RawClient
    headers: dict[str, str]
    events: AsyncIterator[bytes]
    seen: list[dict[str, Any]] = field(default_factory=list)
    """The data of every update so far."""
    times: list[float] = field(default_factory=list)
    """When they came."""

    async def next(self) -> str:
        """The next piece, whatever it is."""
        return (await anext(self.events)).decode()

    async def update(self, *, silence: bool = False) -> dict[str, dict[str, Any]]:
        """The rows of the next update, by id. Unless there may have been `silence`, nothing is before it."""
        piece = await self.next()
        while silence and piece == HEARTBEAT:
            piece = await self.next()
        kind, data = dashboard.event(piece)
        assert kind == "update"
        assert list(data) == ["disabled", "active_requests", "timestamp"]
        self.seen.append(data)
        self.times.append(time.monotonic())
        return dashboard.request_grid(data)

    async def until(self, wanted: set[str]) -> None:
        """Read until these, and no others, are in flight."""
        while set(await self.update()) != wanted:
            pass


@dataclass
class Stream:
    """The room on a running server."""

    running: Serving
    room: Room
    active: ActiveRequests
    clock: CountingClock

    async def read(self, receive_buffer: int | None = None) -> Reader:
        """A client that reads from now on."""
        raw = await self.running.connect(0, receive_buffer)
        await raw.send(ask("GET", PATH))
        status, fields = await raw.head()
        assert status == 200
        return Reader(raw, {name.decode(): value.decode() for name, value in fields}, raw.chunks())

    async def until_readers(self, count: int) -> None:
        await until(lambda: self.room.readers() == count)

    def start(self, number: int, **body: Any) -> str:
        """A request comes in. Its id."""
        observation = in_flight(number, **body)
        self.active.start(observation)
        return observation.request_id

    def end(self, request_id: str) -> None:
        """It is over."""
        self.active.end(next(each for each in self.active if each.request_id == request_id), NOW)


class CountingClock(Clock):
    """Counts how often it is looked at: once for each time that the rows are shaped."""

    def __init__(self) -> None:
        super().__init__()
        self.looks = 0

    def __call__(self) -> float:
        self.looks += 1
        return self.now


@asynccontextmanager
async def streaming(**options: Any) -> AsyncIterator[Stream]:
    """The room on a server of its own, with its background work."""
    active, clock = ActiveRequests(), CountingClock()
    views = make_views(active=active, clock=clock)
    clock.looks = 0
    room = make_room(views, **({"interval_seconds": 0.05} | options))
    (work,) = room.work.values()
    task = asyncio.ensure_future(work())
    async with serving(admin.application([room], KeyRing(())), on_stop=room.close) as running:
        yield Stream(running, room, active, clock)
    assert not task.done(), "the work never ends by itself"
    await cancel(task)

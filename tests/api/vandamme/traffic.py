"""Requests in flight, and the room with them: what the tests of this room share."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx

from exporter.api import admin, vandamme
from exporter.api.room import Room
from exporter.api.views import Views
from exporter.keys import KeyRing
from exporter.observe.observation import Look, Observation
from tests.api.views import NOW, WALL, make_views

OPTIONS: dict[str, Any] = {
    "enabled": True,
    "interval_seconds": 0.5,
    "heartbeat_seconds": 30.0,
    "max_readers": 100,
}


def in_flight(
    number: int = 1,
    *,
    started_at: float = WALL,
    provider: str = "llama_cpp",
    served: str | None = None,
    path: str = "/v1/messages",
    upstream: str | None = "Q4",
    **body: Any,
) -> Observation:
    """A request that was sent to an upstream. Its id is the number; `body` is what it asks."""
    observation = Observation(
        now=NOW + started_at - WALL,
        wall=started_at,
        request_id=f"{number:016x}",
        method="POST",
        path=path,
        query=b"",
        headers=[],
        look=Look(),
    )
    if body:
        observation.feed_request(json.dumps(body).encode())
        observation.end_request()
    if upstream is not None:
        observation.route(upstream=upstream, provider=provider, tier="Q4", model=served)
    return observation


def answer(observation: Observation, *events: bytes, kind: bytes = b"text/event-stream") -> None:
    """The answer has begun, and so much of it has come."""
    now = observation.started + 0.1
    observation.answer(now, 200, [(b"content-type", kind)])
    for event in events:
        observation.feed(now, event)


def make_room(views: Views | None = None, **options: Any) -> Room:
    return vandamme.room(views or make_views(), **(OPTIONS | options))


@asynccontextmanager
async def client_of(room: Room, keys: Sequence[str] = ()) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the admin application, without a server between."""
    transport = httpx.ASGITransport(admin.application([room], KeyRing(keys)))
    async with httpx.AsyncClient(transport=transport, base_url="http://admin") as client:
        yield client


async def get(path: str, views: Views | None = None, **options: Any) -> httpx.Response:
    async with client_of(make_room(views, **options)) as client:
        return await client.get(path)

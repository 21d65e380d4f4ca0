"""Clients that remember what became of each of their requests, which they tell apart by an origin of its own."""

from __future__ import annotations

import asyncio
import itertools
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx

from exporter.demo.traffic import client

CHAT = "/v1/chat/completions"
STREAM_QUERY = "?n=4&ms=2"
"""What `tests.bench.upstream` is to stream: so many chunks, so many milliseconds apart."""
STREAMED_EVERY = 3


@dataclass(frozen=True, slots=True)
class Seen:
    """What a client saw of one answer."""

    origin: str
    stream: bool
    status: int | None
    """None: nothing of an answer came."""
    ended: float
    """Monotonic seconds."""
    seconds: float
    complete: bool


@dataclass(slots=True)
class Traffic:
    """So many clients, each of which asks again as soon as it was answered."""

    proxy: str
    name: str = "t"
    """What the origins of its requests begin with."""
    clients: int = 4
    pause_seconds: float = 0.0
    """Between two requests of a client."""
    seen: list[Seen] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    @property
    def good(self) -> list[Seen]:
        """Those that were answered in full."""
        return [each for each in list(self.seen) if each.complete and each.status == 200]

    @contextmanager
    def running(self) -> Iterator[Traffic]:
        """Ask until the block ends, and then until what is under way was answered."""
        stop = threading.Event()
        thread = threading.Thread(target=lambda: asyncio.run(self._play(stop)), name="traffic")
        thread.start()
        try:
            yield self
        finally:
            stop.set()
            thread.join()

    def ask(self, count: int) -> None:
        """Ask so many times, all of it answered when this returns."""
        asyncio.run(self._play(None, count))

    async def _play(self, stop: threading.Event | None, count: int | None = None) -> None:
        left = itertools.count() if count is None else range(count)
        turns = iter(left)
        async with client(self.proxy) as http:
            users = [self._use(http, turns, stop) for _ in range(self.clients)]
            await asyncio.gather(*users)

    async def _use(self, http: httpx.AsyncClient, turns: Iterator[int], stop: threading.Event | None) -> None:
        for _ in turns:
            if stop is not None and stop.is_set():
                return
            self.seen.append(await self._ask(http, next(self._numbers)))
            await asyncio.sleep(self.pause_seconds)

    async def _ask(self, http: httpx.AsyncClient, number: int) -> Seen:
        origin, stream = f"http://{self.name}-{number}", number % STREAMED_EVERY == 0
        body = {"model": "tiny", "messages": [{"role": "user", "content": "a b c"}], "max_tokens": 4, "stream": stream}
        began, status, complete = time.monotonic(), None, False
        try:
            async with http.stream(
                "POST",
                CHAT + (STREAM_QUERY if stream else ""),
                content=json.dumps(body),
                headers={"origin": origin, "content-type": "application/json"},
            ) as answer:
                status = answer.status_code
                await answer.aread()
                complete = True
        except httpx.HTTPError:
            await asyncio.sleep(0.02)  # a sidecar that is gone refuses faster than anybody could count
        ended = time.monotonic()
        return Seen(origin, stream, status, ended, ended - began, complete)

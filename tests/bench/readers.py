"""Many readers of a live stream: WebSockets at `/api/metrics/ws`, or the event stream of active requests.

A process of its own: `python -m tests.bench.readers PLAN` prints a `Reading`, both as JSON. It counts messages by their
ends and notes when they came; nothing is decoded, since the readers' own work must not be what is measured.
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import cast

import uvloop

from exporter.tasks import spawn
from tests.bench.arithmetic import percentile
from tests.bench.processes import raise_file_limit

WEBSOCKET, EVENTS = "/api/metrics/ws", "/metrics/active-requests/stream"
KEY = base64.b64encode(b"0123456789abcdef").decode()
OPENING_AT_ONCE = 50
TEXT, PING, PONG = 0x81, 0x89, 0x8A
"""First bytes of WebSocket frames."""


@dataclass(frozen=True, slots=True)
class ReadingPlan:
    """Who reads what, and for how long."""

    port: int
    path: str
    readers: int
    seconds: float
    """Once all are connected."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What the readers saw. Times are seconds."""

    connected: int
    seconds: float
    messages: int
    """Of all readers, in the measured interval."""
    bytes: int
    fewest: int
    """Messages of the reader that got fewest."""
    period_mean: float | None
    """Between two messages, as the readers saw it."""
    jitter_p99: float | None
    """By how much a period differs from the mean."""
    jitter_max: float | None
    opening_seconds: float
    errors: dict[str, int] = field(default_factory=dict)


class Reader(asyncio.Protocol):
    """One connection."""

    def __init__(self, crowd: Crowd) -> None:
        self._crowd = crowd
        self._transport: asyncio.Transport
        self._head = b""
        self.opened = asyncio.get_running_loop().create_future()
        self.times: list[float] = []
        """When messages began to arrive, in the measured interval."""
        self._left = 0
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(self._crowd.request)

    def data_received(self, data: bytes) -> None:
        if not self.opened.done():
            self._head += data
            end = self._head.find(b"\r\n\r\n")
            if end < 0:
                return
            status = self._head[9:12].decode("latin-1")
            self.opened.set_result(status in ("101", "200"))
            if status not in ("101", "200"):
                self._crowd.errors[f"status {status}"] += 1
                return
            data = self._head[end + 4 :]
        if self._crowd.measuring:
            self._crowd.received += len(data)
        self._count(data)

    def _count(self, data: bytes) -> None:
        now = time.perf_counter()
        if not self._crowd.websocket:
            self._note(now, data.count(b"event: update\n"))
            return
        data = self._rest + data
        self._rest = b""
        while data:
            if self._left:
                taken = min(self._left, len(data))
                self._left -= taken
                data = data[taken:]
                continue
            size = 2 if len(data) < 2 else {126: 4, 127: 10}.get(data[1] & 0x7F, 2)
            if len(data) < size:
                self._rest = data
                return
            length = data[1] & 0x7F if size == 2 else int.from_bytes(data[2:size], "big")
            self._note(now, int(data[0] == TEXT))
            if data[0] == PING and len(data) >= size + length:
                masked = bytes((PONG, 0x80 | length, 0, 0, 0, 0)) + data[size : size + length]
                self._transport.write(masked)  # masked with zeros, as a client must (RFC 6455, 5.3)
            self._left = length
            data = data[size:]

    def _note(self, now: float, messages: int) -> None:
        if self._crowd.measuring:
            self.times += [now] * messages

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._crowd.closing:
            self._crowd.errors["connection lost"] += 1
        if not self.opened.done():
            self.opened.set_result(False)

    def close(self) -> None:
        self._transport.abort()


class Crowd:
    """All readers."""

    def __init__(self, plan: ReadingPlan) -> None:
        self.plan = plan
        self.websocket = plan.path == WEBSOCKET
        upgrade = (
            f"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n"
            if self.websocket
            else "Accept: text/event-stream\r\n"
        )
        self.request = f"GET {plan.path} HTTP/1.1\r\nHost: 127.0.0.1:{plan.port}\r\n{upgrade}\r\n".encode()
        self.measuring = self.closing = False
        self.received = 0
        self.errors: Counter[str] = Counter()

    async def run(self) -> Reading:
        """Connect all, read for a while."""
        started = time.perf_counter()
        readers: list[Reader] = []
        while len(readers) < self.plan.readers:
            count = min(OPENING_AT_ONCE, self.plan.readers - len(readers))
            readers += await asyncio.gather(*(spawn(self._open(), name="open") for _ in range(count)))
        opening = time.perf_counter() - started
        print("connected", file=sys.stderr, flush=True)
        self.measuring = True
        await asyncio.sleep(self.plan.seconds)
        self.measuring, self.closing = False, True
        reading = self._sum_up(readers, opening)
        for reader in readers:
            reader.close()
        return reading

    async def _open(self) -> Reader:
        _, reader = await asyncio.get_running_loop().create_connection(
            lambda: Reader(self), "127.0.0.1", self.plan.port
        )
        await reader.opened
        return reader

    def _sum_up(self, readers: list[Reader], opening: float) -> Reading:
        periods = [late - early for reader in readers for early, late in pairwise(reader.times)]
        mean = sum(periods) / len(periods) if periods else None
        off = [abs(period - mean) for period in periods] if mean is not None else []
        counts = [len(reader.times) for reader in readers]
        return Reading(
            connected=sum(reader.opened.result() for reader in readers),
            seconds=self.plan.seconds,
            messages=sum(counts),
            bytes=self.received,
            fewest=min(counts, default=0),
            period_mean=mean,
            jitter_p99=percentile(off, 99),
            jitter_max=max(off, default=None),
            opening_seconds=opening,
            errors=dict(self.errors),
        )


async def read(plan: ReadingPlan) -> Reading:
    """Carry the plan out."""
    return await Crowd(plan).run()


if __name__ == "__main__":
    raise_file_limit()
    print(json.dumps(asdict(uvloop.run(read(ReadingPlan(**json.loads(sys.argv[1])))))))

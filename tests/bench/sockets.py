"""Many clients of Socket.IO, each over a WebSocket in one namespace.

A process of its own, as `readers` is: `python -m tests.bench.sockets PLAN` prints a `Reading`; `path` of the plan is
the namespace. A client is connected when it has been told how things are. Pings are answered.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from collections import Counter
from dataclasses import asdict

import uvloop
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from exporter.tasks import spawn
from tests.bench.processes import raise_file_limit
from tests.bench.readers import OPENING_AT_ONCE, Reading, ReadingPlan

OPENING_SECONDS = 20.0
PING, PONG = "2", "3"
"""Of Engine.IO: they are messages like all others."""


class Client:
    """One connection."""

    def __init__(self, crowd: SocketCrowd) -> None:
        self._crowd = crowd
        self.is_in = False
        self.messages = 0
        """In the measured interval."""

    async def enter(self, stack: contextlib.AsyncExitStack) -> None:
        """Connect, and come into the namespace; what goes wrong is counted."""
        plan = self._crowd.plan
        address = f"ws://127.0.0.1:{plan.port}/socket.io/?EIO=4&transport=websocket"
        try:
            async with asyncio.timeout(OPENING_SECONDS):
                socket = await stack.enter_async_context(
                    connect(address, proxy=None, ping_interval=None, compression=None, close_timeout=0.1)
                )
                await socket.recv()
                await socket.send(f"40{plan.path},")
                while not self._is_told(str(await socket.recv())):
                    pass
        except (OSError, InvalidHandshake, ConnectionClosed) as error:
            self._crowd.errors[type(error).__name__] += 1
        else:
            self._crowd.listening.append(spawn(self._listen(socket), name="listen"))

    def _is_told(self, text: str) -> bool:
        """Whether that was the last thing to wait for."""
        refused = text.startswith("44")
        self.is_in = text.startswith(f"42{self._crowd.plan.path},")
        self._crowd.errors.update(["refused"] * refused)
        return self.is_in or refused

    async def _listen(self, socket: ClientConnection) -> None:
        try:
            async for text in socket:
                await self._hear(str(text), socket)
        except ConnectionClosed:
            pass
        if not self._crowd.closing:
            self._crowd.errors["connection lost"] += 1

    async def _hear(self, text: str, socket: ClientConnection) -> None:
        if text == PING:
            await socket.send(PONG)
        elif self._crowd.measuring:
            self.messages += 1
            self._crowd.received += len(text)


class SocketCrowd:
    """All clients."""

    def __init__(self, plan: ReadingPlan) -> None:
        self.plan = plan
        self.listening: list[asyncio.Task[None]] = []
        self.measuring = self.closing = False
        self.received = 0
        self.errors: Counter[str] = Counter()

    async def run(self) -> Reading:
        """Connect all, listen for a while."""
        started = time.perf_counter()
        clients = [Client(self) for _ in range(self.plan.readers)]
        async with contextlib.AsyncExitStack() as stack:
            for at in range(0, len(clients), OPENING_AT_ONCE):
                await asyncio.gather(*(each.enter(stack) for each in clients[at : at + OPENING_AT_ONCE]))
            opening = time.perf_counter() - started
            print("connected", file=sys.stderr, flush=True)
            self.measuring = True
            await asyncio.sleep(self.plan.seconds)
            self.measuring, self.closing = False, True
        await asyncio.gather(*self.listening)
        counts = [each.messages for each in clients]
        return Reading(
            connected=sum(each.is_in for each in clients),
            seconds=self.plan.seconds,
            messages=sum(counts),
            bytes=self.received,
            fewest=min(counts, default=0),
            period_mean=None,
            jitter_p99=None,
            jitter_max=None,
            opening_seconds=opening,
            errors=dict(self.errors),
        )


if __name__ == "__main__":
    raise_file_limit()
    print(json.dumps(asdict(uvloop.run(SocketCrowd(ReadingPlan(**json.loads(sys.argv[1]))).run()))))

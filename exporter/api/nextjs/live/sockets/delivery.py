"""Hands packets out to many clients, some in each turn of the event loop, which the proxy's streams share."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable

from exporter.api.nextjs.live.sockets.clients import Client
from exporter.api.nextjs.live.sockets.packets import Packet

CLIENTS_PER_TURN = 8
"""Each costs some 0.1 ms, most of it in the library's tasks."""
LIMIT = 256
"""Packets that wait to be handed out; the oldest are dropped."""


class Delivery:
    """One round after the other, in the order of `post`."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[Packet, tuple[Client, ...]]] = deque(maxlen=LIMIT)
        self._posted = asyncio.Event()

    def post(self, packet: Packet, clients: Iterable[Client]) -> None:
        """Have a packet handed out to those who are there now."""
        there = tuple(clients)
        if there:
            self._waiting.append((packet, there))
            self._posted.set()

    async def run(self) -> None:
        """Hand out for ever."""
        while True:
            self._posted.clear()
            while self._waiting:
                packet, clients = self._waiting.popleft()
                for start in range(0, len(clients), CLIENTS_PER_TURN):
                    for client in clients[start : start + CLIENTS_PER_TURN]:
                        client.send(packet)
                    await asyncio.sleep(0)
            await self._posted.wait()

"""Hands pieces out to many clients, some in each turn of the event loop, which the proxy's streams share."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable

from exporter.api.nextjs.live.client import Client
from exporter.api.nextjs.live.pieces import Piece

CLIENTS_PER_TURN = 8
"""Each costs some 0.1 ms, most of it in the library's tasks."""
LIMIT = 256
"""Pieces that wait to be handed out; the oldest are dropped."""


class Rounds:
    """One round after the other, in the order of `post`."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[Piece, tuple[Client, ...]]] = deque(maxlen=LIMIT)
        self._posted = asyncio.Event()

    def post(self, piece: Piece, clients: Iterable[Client]) -> None:
        """Have a piece handed out to those who are there now."""
        there = tuple(clients)
        if there:
            self._waiting.append((piece, there))
            self._posted.set()

    async def run(self) -> None:
        """Hand out for ever."""
        while True:
            self._posted.clear()
            while self._waiting:
                piece, clients = self._waiting.popleft()
                for start in range(0, len(clients), CLIENTS_PER_TURN):
                    for client in clients[start : start + CLIENTS_PER_TURN]:
                        client.send(piece)
                    await asyncio.sleep(0)
            await self._posted.wait()

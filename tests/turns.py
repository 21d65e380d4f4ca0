"""How often others have their turn in the event loop while something goes on."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from exporter.tasks import cancel


class Turns:
    """`count` rises by one each time."""

    def __init__(self) -> None:
        self.count = 0

    async def take(self) -> None:
        while True:
            self.count += 1
            await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def counted() -> AsyncIterator[Turns]:
    """As long as this lasts."""
    turns = Turns()
    taking = asyncio.ensure_future(turns.take())
    try:
        yield turns
    finally:
        await cancel(taking)

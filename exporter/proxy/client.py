"""The client's side of one request: its body as it comes in, and whether the client is still there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx

from exporter.asgi import Receive
from exporter.proxy.account import Account

OnLeave = Callable[[Callable[[], None] | None], None]
"""Takes what is to be called when the client leaves; None takes it back."""


class ClientGoneError(Exception):
    """The client closed its connection while its request body was being read."""


class Client(httpx.AsyncByteStream):
    """Reads a request, and cancels `task`, which serves it, when the client leaves before it was served."""

    __slots__ = ("_account", "_clock", "_held", "_more", "_on_leave", "_receive", "_task", "complete_at", "gone")

    def __init__(
        self,
        receive: Receive,
        on_leave: OnLeave,
        task: asyncio.Task[Any],
        account: Account,
        clock: Callable[[], float],
    ) -> None:
        self._receive = receive
        self._on_leave = on_leave
        self._task = task
        self._account = account
        self._clock = clock
        self._held: list[bytes] = []
        self._more = True
        self.complete_at: float | None = None
        """Monotonic time at which the whole request had come in."""
        self.gone = False
        """The client left before it was served."""
        on_leave(self._leave)

    async def read(self, limit: int) -> bytes | None:
        """The whole body, when it is not longer than `limit` bytes; it is the caller's then. Otherwise None, and
        iterating gives what was read and the rest.

        Raises ClientGoneError.
        """
        size = 0
        while self._more:
            chunk = await self._next()
            size += len(chunk)
            self._held.append(chunk)
            if size > limit:
                return None
        held, self._held = self._held, []
        return held[0] if len(held) == 1 else b"".join(held)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """The body from its beginning; can be iterated once. Raises ClientGoneError."""
        held, self._held = self._held, []
        for chunk in held:
            yield chunk
        while self._more:
            yield await self._next()

    def served(self) -> None:
        """The answer is complete, or given up: the client may leave."""
        self._on_leave(None)

    async def _next(self) -> bytes:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self.gone = True
            raise ClientGoneError
        self._more = message.get("more_body", False)
        if not self._more:
            self.complete_at = self._clock()
        chunk: bytes = message.get("body", b"")
        self._account.feed_request(chunk)
        if not self._more:
            self._account.end_request()
        return chunk

    def _leave(self) -> None:
        self.gone = True
        self._task.cancel()

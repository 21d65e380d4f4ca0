"""The client's side of one request: its body as it comes in, and whether the client is still there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any

import httpx

from exporter.proxy.account import Account
from exporter.tasks import spawn

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]


class ClientGoneError(Exception):
    """The client closed its connection while its request body was being read."""


class Client(httpx.AsyncByteStream):
    """Reads an ASGI request and cancels `task`, which serves it, when the client leaves.

    An ASGI server tells of a client's leaving only to those who call `receive`; so somebody does, from the first byte
    of the
    request until the answer is complete.
    """

    __slots__ = (
        "_account",
        "_clock",
        "_held",
        "_more",
        "_receive",
        "_served",
        "_task",
        "_untouched",
        "_watcher",
        "complete_at",
        "gone",
    )

    def __init__(self, receive: Receive, task: asyncio.Task[Any], account: Account, clock: Callable[[], float]) -> None:
        self._receive = receive
        self._task = task
        self._account = account
        self._held: list[bytes] = []
        self._more = True
        self._untouched = True
        self._served = False
        self._watcher: asyncio.Task[None] | None = None
        self._clock = clock
        self.complete_at: float | None = None
        """Monotonic time at which the whole request had come in."""
        self.gone = False
        """The client left before it was served."""

    async def read(self, limit: int) -> bytes | None:
        """The whole body, when it is not longer than `limit` bytes; otherwise None, and iterating gives what was read
        and the rest.

        Raises ClientGoneError.
        """
        size = 0
        while self._more:
            chunk = await self._next()
            size += len(chunk)
            self._held.append(chunk)
            if size > limit:
                return None
        self.watch()
        return self._held[0] if len(self._held) == 1 else b"".join(self._held)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """The body from its beginning; can be iterated once. Raises ClientGoneError."""
        held, self._held = self._held, []
        for chunk in held:
            yield chunk
        while self._more:
            yield await self._next()
        self.watch()

    def watch_unread(self) -> None:
        """Watch a client whose body nobody has asked for, and nobody will."""
        if self._untouched:
            self._untouched = False
            self.watch()

    def watch(self) -> None:
        """From now on, until `served`, cancel the serving task when the client leaves."""
        self._watcher = spawn(self._watch(), name="watch client")

    def served(self) -> None:
        """The answer is complete, or given up: the client may leave."""
        self._served = True
        if self._watcher is not None:
            self._watcher.cancel()

    async def _next(self) -> bytes:
        self._untouched = False
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

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        if not self._served:
            self.gone = True
            self._task.cancel()

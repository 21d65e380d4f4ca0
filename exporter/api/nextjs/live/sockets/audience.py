"""Who is in a namespace, and what a namespace is to the server."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any, Protocol

from exporter.api.nextjs.live.sockets.clients import Client


class Audience:
    """The clients of one namespace."""

    def __init__(self) -> None:
        self._clients: dict[Client, None] = {}
        self._arrived = asyncio.Event()

    def __len__(self) -> int:
        return len(self._clients)

    def __iter__(self) -> Iterator[Client]:
        return iter(self._clients)

    def __contains__(self, client: Client) -> bool:
        return client in self._clients

    def add(self, client: Client) -> None:
        """A client has come in."""
        self._clients[client] = None
        self._arrived.set()

    def discard(self, client: Client) -> None:
        """It has left, if it was there."""
        self._clients.pop(client, None)

    async def wanted(self) -> None:
        """Wait until somebody is there."""
        while not self._clients:
            self._arrived.clear()
            await self._arrived.wait()


class Namespace(Protocol):
    """What happens in a namespace. The server keeps its `audience`; nothing here waits for anything."""

    name: str
    audience: Audience

    def joined(self, client: Client) -> None:
        """A client has come in; it is in the audience."""
        ...

    def left(self, client: Client) -> None:
        """It is gone."""
        ...

    def heard(self, client: Client, event: str, arguments: list[Any]) -> Any:
        """A client says something: any JSON. What is returned goes to a client that wants an acknowledgement; None:
        nothing does."""
        ...

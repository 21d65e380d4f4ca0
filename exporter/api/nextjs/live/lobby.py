"""Who is connected, over both paths: how many may be, and whether anybody may still come."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from exporter.api.nextjs.live.client import Client
from exporter.api.nextjs.live.traffic import Traffic


class Lobby:
    """All clients, by session. `clock` gives monotonic seconds."""

    def __init__(self, limit: int, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.traffic = Traffic(clock)
        self.closed = False
        self._limit = limit
        self._clients: dict[str, Client] = {}

    def __len__(self) -> int:
        return len(self._clients)

    def __iter__(self) -> Iterator[Client]:
        return iter(self._clients.values())

    @property
    def is_full(self) -> bool:
        """Whether nobody can come now."""
        return self.closed or len(self._clients) >= self._limit

    def get(self, session: str) -> Client | None:
        """The client of a session."""
        return self._clients.get(session)

    def add(self, client: Client) -> None:
        """A client has connected."""
        self._clients[client.id] = client

    def remove(self, session: str) -> None:
        """It is gone."""
        self._clients.pop(session, None)

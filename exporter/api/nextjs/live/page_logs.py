"""Log lines for the manager's own pages: one by one as they come, a second apart at most, and all that are kept when a
page asks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from exporter.api.nextjs.live.audience import Audience
from exporter.api.nextjs.live.client import Client
from exporter.api.nextjs.live.page_documents import log_entry, message
from exporter.api.nextjs.live.pieces import DEFAULT, Piece, piece
from exporter.api.nextjs.live.rounds import Rounds
from exporter.api.views import Views
from exporter.live.logbook import Line, Logbook

PERIOD_SECONDS = 1.0
CACHE_LINES = 100
"""That pages show."""
SINGLE_LINES = 10
FEW_CLIENTS = 50
"""So many lines are sent one by one, to so many clients; otherwise all at once."""


class PageLogs:
    """What each client was told. Earlier pages put `logs` in place of what they have, later ones add it; those are the
    ones that ask for `load_models`."""

    def __init__(self, audience: Audience, logbook: Logbook, rounds: Rounds, views: Views) -> None:
        self._audience = audience
        self._logbook = logbook
        self._rounds = rounds
        self._views = views
        self._position = 0
        """Lines up to here have gone round."""
        self._told: set[Client] = set()
        self._adding: set[Client] = set()
        self._cache: tuple[int, Piece] = (-1, None)

    def joined(self, client: Client) -> None:
        """It is given the lines that are kept soon, unless it asks for them."""
        if len(self._audience) == 1:
            self._position = self._logbook.newest

    def left(self, client: Client) -> None:
        """It is gone."""
        self._told.discard(client)
        self._adding.discard(client)

    def adds(self, client: Client) -> None:
        """It is a page that adds what it is given to what it has."""
        self._adding.add(client)

    def ask(self, client: Client) -> None:
        """It wants the lines: those that it does not have, or all where it would lose them."""
        has_all = client in self._told and client in self._adding
        self._told.add(client)
        client.send(self._batch(()) if has_all else self._kept())

    async def run(self) -> None:
        """Tell new lines for ever."""
        while True:
            await self._audience.wanted()
            await asyncio.sleep(PERIOD_SECONDS)
            self._tell()

    def _tell(self) -> None:
        newest = self._logbook.newest
        lines = [line for line in self._logbook.after(self._position) if line.number <= newest]
        self._position = newest
        told = [client for client in self._audience if client in self._told]
        if len(lines) <= (SINGLE_LINES if len(told) <= FEW_CLIENTS else 1):
            for line in lines:
                document = message("log", log_entry(line), self._views)
                self._rounds.post(piece(DEFAULT, "log", document), told)
        else:
            self._post(lambda: self._batch(lines), [client for client in told if client in self._adding])
            self._post(self._kept, [client for client in told if client not in self._adding])
        new = [client for client in self._audience if client not in self._told]
        self._post(self._kept, new)
        self._told.update(new)

    def _post(self, make: Callable[[], Piece], clients: list[Client]) -> None:
        if clients:
            self._rounds.post(make(), clients)

    def _kept(self) -> Piece:
        """All lines up to the position."""
        if self._cache[0] != self._position:
            lines = [line for line in self._logbook.after(0) if line.number <= self._position]
            self._cache = self._position, self._batch(lines)
        return self._cache[1]

    def _batch(self, lines: Iterable[Line]) -> Piece:
        """The newest of them, newest first."""
        newest = [log_entry(line) for line in [*lines][: -CACHE_LINES - 1 : -1]]
        return piece(DEFAULT, "logs", message("logs", newest, self._views))

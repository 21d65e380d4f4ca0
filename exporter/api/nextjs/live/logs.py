"""The namespace `/logs`: new lines in batches, to each client those that it wants."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field

from exporter.api.nextjs.asked import Asked, read
from exporter.api.nextjs.live.documents import logs_update
from exporter.api.nextjs.live.sockets.audience import Audience
from exporter.api.nextjs.live.sockets.clients import Client
from exporter.api.nextjs.live.sockets.packets import Packet, error_packet, packet
from exporter.api.nextjs.live.sockets.server import UNKNOWN_EVENT
from exporter.api.nextjs.live.sockets.ticker import Ticker
from exporter.live.logbook import LLAMA_SERVER, PROXY, Line, Logbook
from exporter.logs import Level
from exporter.models.model import InvalidError

LOGS = "/logs"
LINES = 100
"""In a batch, unless the client wants another number; the newest, when there are more."""
MOST_LINES = 1000
FIRST_SECONDS = 0.5
"""A client has so long to say what it wants before it is given its first lines."""


class Wanted(Asked):
    """`logs:filter`: what is not said is not looked at."""

    levels: Annotated[list[Level] | None, Field(max_length=20)] = None
    sources: Annotated[list[Literal["llama-server", "proxy"]] | None, Field(max_length=20)] = None
    limit: Annotated[int, Field(ge=1, le=MOST_LINES)] = LINES


class _Choice(NamedTuple):
    """The same, and equal for those who want the same."""

    levels: frozenset[str]
    sources: frozenset[str]
    limit: int


EVERYTHING = _Choice(frozenset(("error", "warn", "info", "debug")), frozenset((PROXY, LLAMA_SERVER)), LINES)


class _Reader:
    """A client: what it wants, and up to which line it was told."""

    __slots__ = ("choice", "given")

    def __init__(self) -> None:
        self.choice = EVERYTHING
        self.given = 0


class Logs:
    """The namespace. `clock` gives monotonic seconds."""

    name = LOGS

    def __init__(self, logbook: Logbook, interval: Callable[[], float], clock: Callable[[], float]) -> None:
        """`interval` gives seconds."""
        self.audience = Audience()
        self.ticker = Ticker(clock)
        self._logbook = logbook
        self._interval = interval
        self._clock = clock
        self._readers: dict[Client, _Reader] = {}
        self._new: dict[Client, float] = {}
        """When they came, in that order."""
        self._began = 0.0

    def joined(self, client: Client) -> None:
        """It is given its first lines soon: those that are kept, as many as it wants."""
        self._readers[client] = _Reader()
        self._new[client] = self._clock()
        self.ticker.changed()

    def left(self, client: Client) -> None:
        """It is gone."""
        self._readers.pop(client, None)
        self._new.pop(client, None)

    def heard(self, client: Client, event: str, arguments: list[Any]) -> Any:
        """Its choice, which is in force at once."""
        if event == "logs:filter":
            try:
                choice = _choice(read(Wanted, arguments[0] if arguments else {}))
            except InvalidError as error:
                return self._refuse(client, error.fields)
        elif event == "logs:clear_filters":
            choice = EVERYTHING
        else:
            client.send(error_packet(self.name, "NOT_FOUND", UNKNOWN_EVENT))
            return None
        self._readers[client].choice = choice
        return {"success": True}

    async def run(self) -> None:
        """Give everybody what is new, every so often; and those who have just come their first lines."""
        while True:
            await self.audience.wanted()
            self._began = self._clock()
            while self._readers:
                await self.ticker.wait(self._due)
                now = self._clock()
                if now - self._began >= self._interval():
                    self._began = now
                    self._new.clear()
                    await self._give(list(self._readers))
                else:
                    await self._give(self._take_new(now))

    async def _give(self, clients: Iterable[Client]) -> None:
        """Those of them who want the same are given the same."""
        newest, made = self._logbook.newest, dict[tuple[_Choice, int], Packet | None]()
        for number, client in enumerate(clients):
            reader = self._readers.get(client)
            if reader is None:
                continue
            key = reader.choice, reader.given
            if key not in made:
                made[key] = self._batch(*key, newest)
                await asyncio.sleep(0)
            batch = made[key]
            if batch is None or client.send(batch):
                reader.given = newest
            if number % 8 == 0:
                await asyncio.sleep(0)

    def _batch(self, choice: _Choice, given: int, newest: int) -> Packet | None:
        """Lines after `given`; None where there is none that is wanted."""
        lines = [each for each in self._logbook.after(given) if each.number <= newest and _fits(each, choice)]
        return packet(self.name, "logs:update", logs_update(lines[-choice.limit :])) if lines else None

    def _due(self) -> float:
        turn = self._began + self._interval()
        first = next(iter(self._new.values()), None)
        return turn if first is None else min(turn, first + FIRST_SECONDS)

    def _take_new(self, now: float) -> list[Client]:
        """Those whose first lines are due."""
        found = [client for client, came in self._new.items() if now - came >= FIRST_SECONDS]
        for client in found:
            del self._new[client]
        return found

    def _refuse(self, client: Client, reasons: dict[str, str]) -> Any:
        message = "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
        client.send(error_packet(self.name, "VALIDATION_ERROR", message, details=reasons))
        return {"success": False, "error": {"code": "VALIDATION_ERROR", "message": message}}


def _fits(line: Line, choice: _Choice) -> bool:
    return line.level in choice.levels and line.source in choice.sources


def _choice(wanted: Wanted) -> _Choice:
    return _Choice(
        EVERYTHING.levels if wanted.levels is None else frozenset(wanted.levels),
        EVERYTHING.sources if wanted.sources is None else frozenset(wanted.sources),
        wanted.limit,
    )

"""Log lines for the manager's own pages: one by one as they come, a second apart at most, and all that are kept when a
page asks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from exporter.api.nextjs.live.pages.documents import log_entry, message
from exporter.api.nextjs.live.sockets.audience import Audience
from exporter.api.nextjs.live.sockets.clients import Client
from exporter.api.nextjs.live.sockets.delivery import Delivery
from exporter.api.nextjs.live.sockets.packets import DEFAULT, Packet, packet
from exporter.api.views import Views
from exporter.live.logbook import Line, Logbook

PERIOD_SECONDS = 1.0
CACHE_LINES = 100
"""That pages show."""
SINGLE_LINES = 10
FEW_CLIENTS = 50
"""So many lines are sent one by one, to so many clients; otherwise all at once."""
GREETING_SECONDS = 0.5
"""Later pages ask for lines right after metrics, before anything else."""


class PageLogs:
    """What each client was told. Earlier pages put `logs` in place of what they have, and show it in that order; later
    ones put line after line on top of what they have. Those are the ones that ask for `load_models`, or begin with
    `request_metrics` and `request_logs`."""

    def __init__(self, audience: Audience, logbook: Logbook, delivery: Delivery, views: Views) -> None:
        self._audience = audience
        self._logbook = logbook
        self._delivery = delivery
        self._views = views
        self._position = 0
        """Lines up to here have gone round."""
        self._told: set[Client] = set()
        self._adding: set[Client] = set()
        self._greeting: dict[Client, tuple[str, float]] = {}
        """Of those who have said nothing else: the event, and when it came; "" before."""
        self._kept: dict[bool, tuple[int, Packet]] = {}
        """By whether it is for those who add: all lines up to a position."""

    def joined(self, client: Client) -> None:
        """It is given the lines that are kept soon, unless it asks for them."""
        self._greeting[client] = "", 0.0
        if len(self._audience) == 1:
            self._position = self._logbook.newest

    def left(self, client: Client) -> None:
        """It is gone."""
        self._told.discard(client)
        self._adding.discard(client)
        self._greeting.pop(client, None)

    def heard(self, client: Client, event: str) -> None:
        """What pages say shows which they are."""
        said, at = self._greeting.pop(client, (None, 0.0))
        now = self._views.clock()
        if said == "":
            self._greeting[client] = event, now
        greets = (said, event) == ("request_metrics", "request_logs") and now - at <= GREETING_SECONDS
        if greets or event == "load_models":
            self._adding.add(client)

    def ask(self, client: Client) -> None:
        """It wants the lines: those that it does not have, or all where it would lose them."""
        has_all = client in self._told and client in self._adding
        self._told.add(client)
        client.send(self._batch((), adds=True) if has_all else self._all(adds=client in self._adding))

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
                self._delivery.post(packet(DEFAULT, "log", document), told)
        else:
            self._post(lambda adds: self._batch(lines, adds=adds) if adds else self._all(adds=False), told)
        new = [client for client in self._audience if client not in self._told]
        self._post(lambda adds: self._all(adds=adds), new)
        self._told.update(new)

    def _post(self, make: Callable[[bool], Packet], clients: list[Client]) -> None:
        for adds in (True, False):
            if some := [client for client in clients if (client in self._adding) is adds]:
                self._delivery.post(make(adds), some)

    def _all(self, *, adds: bool) -> Packet:
        """All lines up to the position."""
        position, made = self._kept.get(adds, (-1, None))
        if made is None or position != self._position:
            made = self._batch([line for line in self._logbook.after(0) if line.number <= self._position], adds=adds)
            self._kept[adds] = self._position, made
        return made

    def _batch(self, lines: Sequence[Line], *, adds: bool) -> Packet:
        """The newest of them: oldest first for those who add, so that the newest comes to stand on top."""
        newest = [log_entry(line) for line in lines[-CACHE_LINES:]]
        return packet(DEFAULT, "logs", message("logs", newest if adds else newest[::-1], self._views))

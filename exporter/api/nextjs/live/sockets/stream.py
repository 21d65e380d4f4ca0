"""A stream of updates to an audience: at once for who comes in, at every interval, and soon after every change."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Generator, Sequence

from exporter.api.nextjs.live.sockets.audience import Audience
from exporter.api.nextjs.live.sockets.clients import Client
from exporter.api.nextjs.live.sockets.delivery import Delivery
from exporter.api.nextjs.live.sockets.packets import Packet
from exporter.api.nextjs.live.sockets.ticker import Ticker

log = logging.getLogger(__name__)

FRESH_SECONDS = 1.0
"""For so long the last update serves those who ask in between."""
GAP_SECONDS = 0.1
GAP_SECONDS_PER_CLIENT = 0.001
"""Changes rarely come alone; and the more clients there are, the more it costs to tell them."""

Making = Generator[None, None, Sequence[Packet]]
"""The making of an update, in steps that do not hold up the event loop."""


def gap_seconds(clients: int) -> float:
    """How far apart changes are to be told to so many clients."""
    return GAP_SECONDS + clients * GAP_SECONDS_PER_CLIENT


class Stream:
    """Updates of one or more packets, made once for everybody. `clock` gives monotonic seconds."""

    def __init__(
        self,
        audience: Audience,
        make: Callable[[], Making],
        interval: Callable[[], float],
        *,
        delivery: Delivery,
        clock: Callable[[], float],
    ) -> None:
        """`interval` gives seconds."""
        self.ticker = Ticker(clock)
        self._interval = interval
        self._audience = audience
        self._make = make
        self._delivery = delivery
        self._clock = clock
        self._began = 0.0
        self._version = 0
        """Grows with every change."""
        self._told_version = 0
        """The newest one that everybody has been told, or is about to be."""
        self._making: Making | None = None
        self._making_version = 0
        self._asking: list[tuple[Client, Sequence[int]]] = []
        """Who waits for it."""
        self._newest: Sequence[Packet] = ()
        self._newest_version = 0
        self._made_at = float("-inf")
        self._told: list[object] = []
        """What everybody was told last, by packet; None where that is not the same for all."""

    def tell(self, client: Client, *which: int) -> None:
        """Send somebody the update, or these packets of it: at once, or as soon as it is made. Many may ask at once."""
        is_fresh = self._newest_version == self._version and self._clock() - self._made_at < FRESH_SECONDS
        if not is_fresh and self._making is None:
            self._begin()
        if self._making is None:
            self._send(client, which)
        else:
            self._asking.append((client, which))
            self.ticker.nudge()

    def change(self) -> None:
        """What it shows has changed."""
        self._version += 1
        if len(self._audience):
            self.ticker.nudge()

    async def run(self) -> None:
        """Publish as long as somebody is there."""
        while True:
            await self._audience.wanted()
            self._began = self._clock()
            while len(self._audience):
                is_nudged = await self.ticker.wait(lambda: self._began + self._interval())
                try:
                    await self._take_turn(is_nudged)
                except Exception:
                    log.exception("an update could not be made")

    async def _take_turn(self, is_nudged: bool) -> None:
        await self._finish()
        if is_nudged:
            if self._told_version == self._version:
                return
            await asyncio.sleep(gap_seconds(len(self._audience)))
            self.ticker.settle()
        self._began, self._told_version = self._clock(), self._version
        if not len(self._audience):
            return
        await self._finish()
        if not is_nudged or self._newest_version != self._version:
            self._begin()
            await self._finish()
        self._publish(only_news=is_nudged)

    def _publish(self, *, only_news: bool) -> None:
        """To everybody; of a change, the packets that tell something new."""
        told, self._told = self._told, [each.says for each in self._newest]
        for number, each in enumerate(self._newest):
            if not (only_news and told and told[number] == each.says):
                self._delivery.post(each, self._audience)

    def _begin(self) -> None:
        """Make it anew; what takes more than a step is done by `run`."""
        self._making, self._making_version = self._make(), self._version
        self._step()

    async def _finish(self) -> None:
        """Make what was begun."""
        while self._making is not None:
            await asyncio.sleep(0)
            self._step()

    def _step(self) -> None:
        if self._making is None:
            return
        try:
            next(self._making)
        except StopIteration as end:
            self._making = None
            self._newest, self._newest_version, self._made_at = end.value, self._making_version, self._clock()
            asking, self._asking = self._asking, []
            for client, which in asking:
                self._send(client, which)
        except Exception:
            self._making, self._asking = None, []
            raise

    def _send(self, client: Client, which: Sequence[int]) -> None:
        for number in which or range(len(self._newest)):
            if self._told and self._told[number] != self._newest[number].says:
                self._told[number] = None
            client.send(self._newest[number])

"""A stream of updates to an audience: at once for who comes in, at every interval, and soon after every change."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from exporter.api.nextjs.live.audience import Audience
from exporter.api.nextjs.live.beat import Beat
from exporter.api.nextjs.live.pieces import Piece
from exporter.api.nextjs.live.rounds import Rounds

log = logging.getLogger(__name__)

FRESH_SECONDS = 1.0
"""For so long the last update serves those who ask in between."""
GAP_SECONDS = 0.1
GAP_SECONDS_PER_CLIENT = 0.001
"""Changes rarely come alone; and the more clients there are, the more it costs to tell them."""

Make = Callable[[], Sequence[Piece]]


def gap_seconds(clients: int) -> float:
    """How far apart changes are to be told to so many clients."""
    return GAP_SECONDS + clients * GAP_SECONDS_PER_CLIENT


class Stream:
    """Updates of one or more pieces, made once for everybody. `clock` gives monotonic seconds."""

    def __init__(
        self,
        audience: Audience,
        make: Make,
        interval: Callable[[], float],
        *,
        rounds: Rounds,
        clock: Callable[[], float],
    ) -> None:
        """`interval` gives seconds."""
        self.beat = Beat(clock)
        self._interval = interval
        self._audience = audience
        self._make = make
        self._rounds = rounds
        self._clock = clock
        self._newest: Sequence[Piece] = ()
        self._made_at = float("-inf")
        self._began = 0.0

    def newest(self) -> Sequence[Piece]:
        """The update for somebody who asks for it. Many may ask at once."""
        if self._clock() - self._made_at >= FRESH_SECONDS:
            self._remake()
        return self._newest

    def change(self) -> None:
        """What it shows has changed."""
        self._made_at = float("-inf")
        if len(self._audience):
            self.beat.nudge()

    async def run(self) -> None:
        """Publish as long as somebody is there."""
        while True:
            await self._audience.wanted()
            self._began = self._clock()
            while len(self._audience):
                if await self.beat.wait(lambda: self._began + self._interval()):
                    await asyncio.sleep(gap_seconds(len(self._audience)))
                self._began = self._clock()
                if len(self._audience):
                    self._publish()

    def _publish(self) -> None:
        try:
            self._remake()
        except Exception:
            log.exception("an update could not be made")
            return
        for piece in self._newest:
            self._rounds.post(piece, self._audience)

    def _remake(self) -> None:
        self._newest, self._made_at = tuple(self._make()), self._clock()

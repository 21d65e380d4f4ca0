"""What pages ask, each kind answered to each client once a second at most: some ask whenever they draw what they were
told, and draw whenever they are told something."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping

from exporter.api.nextjs.live.sockets.clients import Client
from exporter.api.nextjs.live.sockets.packets import DEFAULT, error_packet

log = logging.getLogger(__name__)

PAUSE_SECONDS = 1.0
"""From one answer to the next."""

Answer = Callable[[Client], None]


class _Turn:
    """A client, and one kind of question."""

    __slots__ = ("next_at", "timer")

    def __init__(self) -> None:
        self.next_at = float("-inf")
        """Monotonic time from which on it is answered at once."""
        self.timer: asyncio.TimerHandle | None = None


class Questions:
    """`answers` by kind of question. `clock` gives monotonic seconds."""

    def __init__(self, answers: Mapping[str, Answer], clock: Callable[[], float]) -> None:
        self._answers = answers
        self._clock = clock
        self._turns: dict[Client, dict[str, _Turn]] = {}

    def __contains__(self, kind: str) -> bool:
        return kind in self._answers

    def ask(self, client: Client, kind: str) -> bool:
        """Answer now, or as soon as the pause is over: once, however often it was asked meanwhile. False: it is one of
        those."""
        turn = self._turns.setdefault(client, {}).setdefault(kind, _Turn())
        left = turn.next_at - self._clock()
        if left <= 0 and turn.timer is None:
            self._answer(client, kind, turn)
            return True
        if turn.timer is None:
            turn.timer = asyncio.get_running_loop().call_later(left, self._answer_late, client, kind, turn)
        return False

    def left(self, client: Client) -> None:
        """It is gone, and wants no answers any more."""
        for turn in self._turns.pop(client, {}).values():
            if turn.timer is not None:
                turn.timer.cancel()

    def _answer(self, client: Client, kind: str, turn: _Turn) -> None:
        turn.next_at = self._clock() + PAUSE_SECONDS
        self._answers[kind](client)

    def _answer_late(self, client: Client, kind: str, turn: _Turn) -> None:
        turn.timer = None
        try:
            self._answer(client, kind, turn)
        except Exception:
            log.exception("a question could not be answered", extra={"question": kind})
            client.send(error_packet(DEFAULT, "INTERNAL_ERROR", "the sidecar failed; its log says why"))

"""The account of one request as the traffic path keeps it: an Observation that cannot disturb the traffic.

Whatever goes wrong while looking at bytes is counted and logged, and the rest of that request passes unseen.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from exporter.observe.observation import Observation
from exporter.record import Outcome, RequestRecord

log = logging.getLogger(__name__)


class Account:
    """Guards the steps of an Observation. `errors` counts, by dialect, what could not be understood."""

    __slots__ = ("_blind", "_errors", "observation")

    def __init__(self, observation: Observation, errors: Counter[str]) -> None:
        self.observation = observation
        self._errors = errors
        self._blind = False

    def feed_request(self, piece: bytes) -> None:
        """A part of the request's body has come in."""
        self._try(self.observation.feed_request, piece)

    def end_request(self) -> None:
        """The request's body is complete."""
        self._try(self.observation.end_request)

    def answer(self, now: float, status: int, headers: Sequence[tuple[bytes, bytes]]) -> None:
        """The head of an answer has gone out."""
        self._try(self.observation.answer, now, status, headers)

    def feed(self, now: float, piece: bytes) -> None:
        """A piece of the answer, which came in at `now`, has gone out. Once per streamed token."""
        if not self._blind:
            try:
                self.observation.feed(now, piece)
            except Exception:
                self._give_up()

    def listener(self, headers: Sequence[tuple[bytes, bytes]]) -> Callable[[float, bytes], None]:
        """What is to be called with each piece of the answer that has these header fields: `feed`, and, where somebody
        wants the answer itself, they too."""
        trace = self.observation.trace
        take = None if trace is None else trace.listen(headers)
        if take is None:
            return self.feed

        def feed_both(now: float, piece: bytes) -> None:
            self.feed(now, piece)
            self._try(take, piece)

        return feed_both

    def close(
        self, now: float, outcome: Outcome | None, error_type: str | None, emit: Callable[[RequestRecord], None]
    ) -> None:
        """The request is over: hand its record on."""
        observation = self.observation
        try:
            emit(observation.finish(now, outcome, error_type))
        except Exception:
            self._give_up()
        if observation.parse_errors:
            self._errors[observation.dialect] += observation.parse_errors

    def _try(self, step: Callable[..., None], *arguments: Any) -> None:
        if not self._blind:
            try:
                step(*arguments)
            except Exception:
                self._give_up()

    def _give_up(self) -> None:
        self._blind = True
        self._errors[self.observation.dialect] += 1
        log.exception(
            "a request could not be observed; its traffic passes all the same",
            extra={"request_id": self.observation.request_id},
        )

"""The cardinality guard: label values that a client can choose, made safe and kept few.

`prometheus.RequestMetrics` passes every model name, origin, finish reason and error type through it, because each new
value of a label is a new time series for ever.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Container, Mapping
from types import MappingProxyType

from exporter.telemetry import catalog
from exporter.telemetry.instruments import Counter

LABEL_LIMIT_CHARACTERS = 128
OTHER = "other"
UNKNOWN = "unknown"

MODEL = "gen_ai_request_model"
ORIGIN = "origin"
FINISH_REASON = "finish_reason"
ERROR_TYPE = "error_type"
LIMITS: Mapping[str, int] = MappingProxyType({MODEL: 100, ORIGIN: 50, FINISH_REASON: 50, ERROR_TYPE: 50})
"""How many values that nobody vouches for are admitted, by label."""

# Control characters and line separators break what reads an exposition line by line; lone surrogates cannot be encoded.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def clean(value: str, limit_characters: int = LABEL_LIMIT_CHARACTERS) -> str:
    """`value` cut to the limit, with U+FFFD where a character is unsafe in an exposition."""
    return _UNSAFE.sub("\N{REPLACEMENT CHARACTER}", value[:limit_characters])


class Guard:
    """Admits label values: those an upstream serves always, others while there is room, and `other` for the rest.

    A value once admitted stays admitted, so that a series does not end when a model is unloaded.
    """

    def __init__(
        self,
        served: Callable[[], Container[str]] = tuple,
        *,
        limits: Mapping[str, int] = LIMITS,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        """`served` gives the model names that the upstreams serve now; it is asked about names not seen before."""
        self._served = served
        self._admitted: dict[str, set[str]] = {label: set() for label in limits}
        self._room = dict(limits)
        self.overflow = Counter(catalog.SIDECAR_LABEL_OVERFLOW, wall_clock)
        for label in limits:
            self.overflow.series((label,))  # a counter that begins with its first event hides that event from rate()
        """Values that became `other`, by label."""

    def admit(self, label: str, value: str) -> str:
        """The value to use for `label`, which must be one of the guarded ones."""
        admitted = self._admitted[label]
        if len(value) <= LABEL_LIMIT_CHARACTERS and value in admitted:
            return value
        cleaned = clean(value)
        if cleaned in admitted or self._is_served(label, value) or self._take_room(label):
            admitted.add(cleaned)
            return cleaned
        self.overflow.series((label,)).inc()
        return OTHER

    def model(self, requested: str | None, answered: str | None, *, worked: bool = True) -> str:
        """The model label of a request: what it asked for; when it named no model, what answered; else `unknown`.

        Only a request that `worked` makes room for a new name: whoever sends nonsense must not use the room up.
        """
        return self._name(MODEL, requested or answered, makes_room=worked)

    def origin(self, sent: str | None, *, let_in: bool = True) -> str:
        """The origin label of a request: what it says of where it comes from, else `unknown`.

        Only a request that was `let_in` makes room for a new one.
        """
        return self._name(ORIGIN, sent, makes_room=let_in)

    def _name(self, label: str, name: str | None, *, makes_room: bool) -> str:
        if not name:
            return UNKNOWN
        if makes_room or self._is_served(label, name) or clean(name) in self._admitted[label]:
            return self.admit(label, name)
        return OTHER

    def _is_served(self, label: str, value: str) -> bool:
        return label == MODEL and value in self._served()

    def _take_room(self, label: str) -> bool:
        if self._room[label] <= 0:
            return False
        self._room[label] -= 1
        return True

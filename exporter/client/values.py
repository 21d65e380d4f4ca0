"""Turns what an application passes into the body of a recording request, or says which parameter cannot be used.

`collector` calls it in the application's own thread, so that a later change of a value changes nothing. Only what no
JSON can carry is refused here; what a tier may be called and how small a number may be is the sidecar's to say.
"""

from __future__ import annotations

import json
import math
import operator
from collections.abc import Callable, Mapping
from typing import Any

TEXT_LIMIT = 256
"""Most characters of a text: what waits to be sent must stay small."""
COUNT_LIMIT = 2**53
"""Beyond, JSON numbers are no longer exact everywhere."""

Kind = tuple[Callable[[Any], Any], str]
"""Reads a value, raising anything where it cannot; and what it should have been, in words."""


class UnusableValueError(ValueError):
    """A parameter has a value that cannot be recorded."""

    def __init__(self, parameter: str, value: object, wanted: str) -> None:
        # Only its type: the value itself may be long, secret, or refuse to be shown.
        super().__init__(f"{parameter} is not {wanted} ({type(value).__name__})")
        self.parameter = parameter


def encode(kinds: Mapping[str, Kind], values: Mapping[str, object]) -> bytes:
    """A JSON object of the parameters. Raises UnusableValueError."""
    body: dict[str, Any] = {}
    for parameter, value in values.items():
        read, wanted = kinds[parameter]
        try:
            body[parameter] = read(value)
        except Exception:  # an application's own class can raise anything here
            raise UnusableValueError(parameter, value, wanted) from None
    return json.dumps(body).encode("ascii")


def _text(value: Any) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= TEXT_LIMIT:
        raise ValueError
    text = str.__str__(value)  # str() of an enumeration's member would be its name
    text.encode("utf-8")  # a lone surrogate is no text
    return text


def _number(value: Any) -> float:
    number = math.fsum((value,))  # any kind of number, NumPy's and Decimal too; float() would parse text
    if not math.isfinite(number):
        raise ValueError
    return number


def _count(value: Any) -> int:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    count = operator.index(value)
    if abs(count) > COUNT_LIMIT:
        raise ValueError
    return count


TEXT: Kind = (_text, f"a text of 1 to {TEXT_LIMIT} characters")
NUMBER: Kind = (_number, "a finite number")
COUNT: Kind = (_count, "a whole number")
FLAG: Kind = (bool, "true or false")

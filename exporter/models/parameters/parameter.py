"""One parameter: what it is, and which values it takes. `catalogue` has all of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from exporter.models.model import Value

Type = Literal["number", "integer", "boolean", "string"]
DECIMALS = 6
"""Of a number; llama-server ends when it is told of one that is too small for it, like 1e-40."""


@dataclass(frozen=True, slots=True)
class Category:
    """Of parameters; the API knows it by its `id`."""

    id: str
    name: str
    description: str


@dataclass(frozen=True, slots=True)
class Parameter:
    """One of them."""

    name: str
    """In snake case, as clients of the API call it."""
    option: str
    """llama-server's long name of it, without dashes in front; also the key in a preset file."""
    category: str
    """Its id."""
    group: str
    """What it has to do with, for forms."""
    type: Type
    default: Value
    """What llama-server does where nothing is said."""
    minimum: float | None
    maximum: float | None
    """Both can be had; None for words and booleans. Whole numbers where the type is `integer`."""
    step: float | None
    """Proposed for forms; what lies between two steps can be had too."""
    choices: tuple[Value, ...]
    """All values that there are; empty where a range says it."""
    description: str
    aliases: tuple[str, ...]
    """More names of it, besides `name` and `option`; in snake case."""
    gap: tuple[int, int] | None = None
    """From and to: what cannot be had although it is within the range."""

    def read(self, value: Any) -> Value:
        """The value with the parameter's type; a number is rounded to DECIMALS. Raises ValueError that says what it
        must be instead."""
        found = self._typed(value)
        if found is None or not self._is_possible(found):
            raise ValueError(self.must_be)
        return round(found, DECIMALS) + 0.0 if isinstance(found, float) else found

    @property
    def must_be(self) -> str:
        """What is said of a value that cannot be had."""
        if self.type == "boolean":
            return "must be true or false"
        if self.choices:
            return f"must be {_either(self.choices)}"
        kind = "a whole number" if self.type == "integer" else "a number"
        but = f", but not {_range(*self.gap)}" if self.gap else ""
        return f"must be {kind} from {self.minimum:g} to {self.maximum:.15g}{but}"

    def _typed(self, value: Any) -> Value | None:
        """None where it is of another type. Numbers as text are not numbers: nobody knows what their comma means."""
        if self.type == "boolean" or isinstance(value, bool):
            return value if isinstance(value, bool) and self.type == "boolean" else None
        if self.type == "string":
            return value if isinstance(value, str) else None
        if not isinstance(value, int | float) or not self._is_within(value):
            return None
        if self.type == "number":
            return float(value)
        return int(value) if int(value) == value else None

    def _is_within(self, value: float) -> bool:
        """Not for what is no number (nan), nor for a whole number that no float can hold."""
        return self.minimum is not None and self.maximum is not None and self.minimum <= value <= self.maximum

    def _is_possible(self, value: Value) -> bool:
        if self.choices:
            return value in self.choices
        return self.gap is None or not (isinstance(value, int) and self.gap[0] <= value <= self.gap[1])


def _either(choices: Iterable[Value]) -> str:
    *others, last = map(str, choices)
    return f"{', '.join(others)} or {last}"


def _range(first: int, last: int) -> str:
    return str(first) if first == last else f"{first} to {last}"

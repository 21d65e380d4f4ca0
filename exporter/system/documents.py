"""Careful reading of JSON that another program wrote: a missing or mistyped value is None, never an exception."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Document = Mapping[str, Any]


def mapping(value: object) -> Document:
    """`value` when it is a JSON object, else an empty one."""
    return value if isinstance(value, dict) else {}


def sequence(value: object) -> list[Any]:
    """`value` when it is a JSON array, else an empty one."""
    return value if isinstance(value, list) else []


def text(value: object) -> str | None:
    """`value` when it is a string that is not empty."""
    return value if isinstance(value, str) and value else None


def flag(value: object) -> bool | None:
    """`value` when it is true or false."""
    return value if isinstance(value, bool) else None


def count(value: object) -> int | None:
    """`value` when it is a whole number that is not negative."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def size(value: object) -> int | None:
    """`value` when it is a whole number above zero; llama-server writes 0 for what it does not know."""
    return count(value) or None

"""Numbers as the contract's pages can draw them; the shapes use it."""

from __future__ import annotations

LARGEST = 1e15
GIB = 1024**3
MIB = 1024**2


def figure(value: float | None, digits: int = 2) -> float:
    """Rounded. What is unknown or not a number is 0, nothing is negative, and nothing is endless: pages break on all of
    these."""
    if value is None or not value > 0:
        return 0.0
    return round(float(min(value, LARGEST)), digits)


def milliseconds(seconds: float | None) -> float:
    """Rounded to 2 digits; 0 where unknown."""
    return figure(None if seconds is None else seconds * 1000)


def share(part: float, whole: float, digits: int) -> float:
    """0 to 1; 0 of nothing."""
    return figure(min(part / whole, 1.0), digits) if whole > 0 else 0.0

"""Numbers as Go, and so everyone who reads an exposition, writes them."""

from __future__ import annotations

_SPECIAL = {"inf": "+Inf", "-inf": "-Inf", "nan": "NaN"}
EXPONENT_FROM = 1_000_000
"""From here on a positive number is written with an exponent."""


def go_float(value: float) -> str:
    """`value` as `prometheus_client` writes it: 0.25, 3.0, 1.5e+06, +Inf, NaN."""
    text = repr(float(value))
    point = text.find(".")
    if value >= EXPONENT_FROM and point > 0 and "e" not in text:
        digits = f"{text[0]}.{text[1:point]}{text[point + 1 :]}".rstrip("0.")
        return f"{digits}e+{point - 1:02d}"
    return _SPECIAL.get(text, text) if point < 0 else text

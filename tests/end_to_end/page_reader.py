"""Reads figures as a person does: from the text alone to the values that it can stand for. It shares nothing with the
page's own `format.js`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

UNKNOWN = "–"
AMOUNT = re.compile(r"(\d[\d,]*(?:\.\d+)?)(?: ?([A-Za-z°%/]+))?")
UNITS = {
    None: ("", 1.0),
    "%": ("share", 0.01),
    "ms": ("time", 1e-3),
    "s": ("time", 1.0),
    "min": ("time", 60.0),
    "h": ("time", 3600.0),
    "d": ("time", 86400.0),
    "B": ("bytes", 1.0),
    "KiB": ("bytes", 2.0**10),
    "MiB": ("bytes", 2.0**20),
    "GiB": ("bytes", 2.0**30),
    "MiB/s": ("bytes/s", 2.0**20),
    "tok/s": ("tokens/s", 1.0),
    "/s": ("1/s", 1.0),
    "°C": ("degrees", 1.0),
    "W": ("watts", 1.0),
}
"""What a unit measures, and how many of it in base units."""
FINER = {"d": "h", "h": "min", "min": "s"}
"""Times that go on are in two units, rounded down; without the second one, that is 0."""


class Figure(NamedTuple):
    """What a document says: in base units, None where it is not known."""

    value: float | None
    measures: str = ""


class Shown(NamedTuple):
    """What a text stands for: any value from `least` to `most`."""

    measures: str
    least: float
    most: float

    def fits(self, figure: Figure) -> bool:
        """Whether it can stand for this."""
        value = figure.value
        return self.measures == figure.measures and value is not None and self.least <= value <= self.most


Expected = str | tuple[Figure, ...]
"""A text, or the figures in it, which "of" is between."""


def read_amount(text: str) -> Shown | None:
    """One amount; None where it is not known. Raises ValueError."""
    if text == UNKNOWN:
        return None
    parts = AMOUNT.findall(text)
    if not parts or " ".join(f"{number} {unit}".strip() for number, unit in parts) != _spaced(text):
        raise ValueError(f"{text!r} is no amount")
    known = [(float(number.replace(",", "")), *UNITS[unit or None]) for number, unit in parts]
    value = sum(number * factor for number, _, factor in known)
    number, unit = parts[-1]
    measures, factor = known[-1][1:]
    slack = 1e-9 * max(value, 1.0)
    if measures == "time" and "." not in number and unit != "ms":
        finer = UNITS[FINER.get(unit, unit)][1] if len(parts) == 1 else factor
        return Shown(measures, value - slack, value + finer + slack)
    digits = len(number.partition(".")[2])
    half = 0.5 * 10**-digits * factor + slack
    return Shown(measures, value - half, value + half)


def complaints(expected: dict[str, Expected], shown: Iterable[tuple[str, str]]) -> list[str]:
    """What is wrong with a page that shows these texts by name: each figure is to be there, and no other."""
    pairs = list(shown)
    missing = expected.keys() - {name for name, _ in pairs}
    wrong = [f"{name}: {text!r}, not {expected.get(name)}" for name, text in pairs if not _agrees(expected, name, text)]
    return sorted([*wrong, *(f"{name}: missing" for name in missing)])


def _agrees(expected: dict[str, Expected], name: str, text: str) -> bool:
    wanted = expected.get(name)
    if wanted is None or isinstance(wanted, str):
        return text == wanted
    parts = text.split(" of ")
    return len(parts) == len(wanted) and all(map(_fits, parts, wanted))


def _fits(text: str, figure: Figure) -> bool:
    try:
        shown = read_amount(text)
    except (ValueError, KeyError):
        return False
    return figure.value is None if shown is None else shown.fits(figure)


def _spaced(text: str) -> str:
    return re.sub(r"(?<=\d)(?=[A-Za-z/])", " ", text)

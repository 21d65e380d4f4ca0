"""The running totals as text: YAML with blank lines and comments where the original has them.

The layout is ours; how a value is written is PyYAML's to say. Whatever names and filters hold, the text is valid YAML
of the same document.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

import yaml

from exporter.api.vandamme.documents import RunningTotals, RunningTotalsDisabled, RunningTotalsFailure
from exporter.api.vandamme.rows import Filter
from exporter.utc import utc

_PLAIN = re.compile(r"[A-Za-z_]([\w./:+-]*\w)?", re.ASCII)
_WORDS = frozenset(("y", "n", "yes", "no", "on", "off", "true", "false", "null"))
"""What YAML 1.1 does not read as a string; PyYAML itself would quote most of them."""
_SIMPLE_KEY_CHARACTERS = 1024
"""Longer keys need a question mark (YAML 1.1, 7.4.3): escapes make a name up to ten times as long."""
EVERYTHING = Filter()
_NUMBERS = yaml.representer.SafeRepresenter()


def write_totals(totals: RunningTotals, chosen: Filter, wall: float) -> str:
    """The report on what was chosen."""
    summary = "\n".join(("summary:", *_lines(totals["summary"], 1)))
    parts = [*_head(wall, chosen), "# Summary Statistics", summary, "\n".join(_providers(totals))]
    if totals["providers"]:
        parts.append("# Provider Breakdown")
    return _text(parts)


def write_disabled(document: RunningTotalsDisabled, wall: float) -> str:
    """The report when nothing is recorded. The keys that look like comments are keys."""
    return _text([*_head(wall), *_entries(document)])


def write_failure(document: RunningTotalsFailure, wall: float) -> str:
    """The report when there is none."""
    return _text([*_head(wall), "# Error", *_entries(document)])


def _text(parts: list[str]) -> str:
    return "\n\n".join(parts) + "\n"


def _head(wall: float, chosen: Filter = EVERYTHING) -> Iterator[str]:
    yield "# Running Totals Report"
    yield f"# Generated: {utc(wall, 'microseconds')}"
    patterns = {"provider": chosen.provider, "model": chosen.model}
    said = " & ".join(f"{name}={_comment(pattern)}" for name, pattern in patterns.items() if pattern)
    if said:
        yield f"# Filter: {said}"
    yield "#"


def _entries(document: Mapping[str, Any]) -> Iterator[str]:
    for key, value in document.items():
        yield yaml.safe_dump({key: value}, width=math.inf).rstrip("\n")


def _providers(totals: RunningTotals) -> Iterator[str]:
    if not totals["providers"]:
        yield "providers: {}"
        return
    yield "providers:"
    for name, entry in totals["providers"].items():
        yield f"  # {_comment(name.title())} Provider"
        yield _key(name, "  ")
        yield from _lines(entry, 2)


def _lines(document: Mapping[str, Any], depth: int) -> Iterator[str]:
    indent = "  " * depth
    for key, value in document.items():
        if isinstance(value, dict):
            yield _key(key, indent)
            yield from _lines(value, depth + 1)
        else:
            yield f"{indent}{key}: {_value(value)}"


def _key(name: str, indent: str) -> str:
    """The line before what belongs to a key."""
    written = _string(name)
    return f"{indent}{written}:" if len(written) <= _SIMPLE_KEY_CHARACTERS else f"{indent}? {written}\n{indent}:"


def _value(value: object) -> str:
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, float):
        return str(_NUMBERS.represent_float(value).value)
    return "null" if value is None else str(value)


@lru_cache(4096)
def _string(text: str) -> str:
    """A string on one line: as it is where nobody could take it for anything else, else in quotation marks."""
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return text
    style = "'" if text.isprintable() else '"'
    return yaml.safe_dump(text, default_style=style, allow_unicode=True, width=math.inf).rstrip("\n")


def _comment(text: str) -> str:
    """What can end a line, or change how it looks, is escaped."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode("ascii") for each in text)

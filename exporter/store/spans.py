"""Cuts a period into whole days, hours and minutes, of which there are sums, and ragged edges, of which there
are none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

MINUTE = 60
HOUR = 3600
DAY = 86_400
STEPS = (DAY, HOUR, MINUTE)
"""Seconds; each is a multiple of the next."""
WHOLES = 2 * len(STEPS) - 1
"""Spans of whole steps that a period has, at most: minutes, hours, days, hours, minutes."""
EDGES = 2
"""Spans of single requests that it has, at most."""
ALWAYS_US = 253_402_300_800 * 1_000_000
"""The year 10000, at midnight."""


class Span(NamedTuple):
    """From `start_us` to `end_us`, that moment left out: all of it whole steps, or, with step 0, single requests."""

    step: int
    start_us: int
    end_us: int


def cut(start_us: int, end_us: int, steps: Sequence[int] = STEPS) -> Iterator[Span]:
    """The spans that make up `start_us` to `end_us` (left out), in order: few, the largest steps that fit."""
    if start_us >= end_us:
        return
    if not steps:
        yield Span(0, start_us, end_us)
        return
    step_us = steps[0] * 1_000_000
    first = -(-start_us // step_us) * step_us
    last = end_us // step_us * step_us
    if first >= last:
        yield from cut(start_us, end_us, steps[1:])
        return
    yield from cut(start_us, first, steps[1:])
    yield Span(steps[0], first, last)
    yield from cut(last, end_us, steps[1:])

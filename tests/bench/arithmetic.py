"""The benchmark's arithmetic: percentiles, costs per request and per chunk, and what several rounds add up to. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TypeVar

MICRO = 1e6

T = TypeVar("T")


def percentile(values: Sequence[float], q: float) -> float | None:
    """The smallest value that q percent of all values do not exceed (nearest rank); None without values."""
    if not values:
        return None
    return sorted(values)[max(0, math.ceil(q / 100 * len(values)) - 1)]


def per_request_us(cpu_seconds: float, answers: float) -> float | None:
    """CPU microseconds per answer; None without answers."""
    return cpu_seconds / answers * MICRO if answers else None


def per_chunk_us(stream_us: float | None, json_us: float | None, chunks: int) -> float | None:
    """CPU microseconds per chunk: those of a stream, less those of a JSON request, divided by the stream's chunks."""
    if stream_us is None or json_us is None or not chunks:
        return None
    return (stream_us - json_us) / chunks


def ratio(ours: float | None, theirs: float | None) -> float | None:
    """How many times theirs ours is; None when either is unknown or theirs is not positive."""
    return ours / theirs if ours is not None and theirs is not None and theirs > 0 else None


def difference(ours: float | None, theirs: float | None) -> float | None:
    """Ours less theirs; None when either is unknown."""
    return None if ours is None or theirs is None else ours - theirs


def median_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """Where the median of what was sampled lies in 19 of 20 cases, by order statistics; None without values.

    Below six values: the smallest and the largest.
    """
    if not values:
        return None
    ordered, last = sorted(values), len(values) - 1
    rank = max(0, math.floor(len(values) / 2 - 0.98 * math.sqrt(len(values))) - 1)
    return ordered[rank], ordered[last - rank]


@dataclass(frozen=True, slots=True)
class Middle:
    """The median of the rounds, and how far they lay apart."""

    value: float
    spread: float | None
    """(largest - smallest) / median; None for a single round."""


def middle(values: Sequence[float | None]) -> Middle | None:
    """Median and spread of the rounds that gave a value; None when none did."""
    known = [value for value in values if value is not None]
    if not known:
        return None
    value = median(known)
    return Middle(value, (max(known) - min(known)) / value if len(known) > 1 and value else None)


def of_rounds(rounds: Sequence[T], figure: Callable[[T], float | None]) -> float | None:
    """Median over the rounds of one figure."""
    found = middle([figure(one) for one in rounds])
    return None if found is None else found.value

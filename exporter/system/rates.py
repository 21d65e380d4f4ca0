"""Rates out of counters that only grow; `host` owns one `Rates` per kind of device."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

SHORTEST_SECONDS = 0.1
"""Two readings closer than this give no rate of their own: jitter would be divided by almost nothing."""

Pair = tuple[float, float]
"""Two counters of one device: in and out."""
RatePair = tuple[float | None, float | None]


@dataclass(frozen=True, slots=True)
class _Reading:
    time: float
    counters: Pair
    rates: RatePair


class Rates:
    """Per-second rates of the two counters of each device, against the reading before."""

    def __init__(self) -> None:
        self._last: dict[str, _Reading] = {}

    def update(self, now: float, counters: Mapping[str, Pair]) -> dict[str, RatePair]:
        """Take the counters of all devices at monotonic `now`; return the rates of each.

        None in a device's first reading, and for a counter that went backwards (it was reset). Within 0.1 s of the
        reading before, the rates known then are given again and that reading stays the base of the next. A device that
        is missing is forgotten: when it comes back it starts afresh.
        """
        self._last = {device: self._read(now, device, pair) for device, pair in counters.items()}
        return {device: reading.rates for device, reading in self._last.items()}

    def _read(self, now: float, device: str, pair: Pair) -> _Reading:
        before = self._last.get(device)
        if before is None:
            return _Reading(now, pair, (None, None))
        seconds = now - before.time
        if seconds < SHORTEST_SECONDS:
            return before
        rates = (_rate(before.counters[0], pair[0], seconds), _rate(before.counters[1], pair[1], seconds))
        return _Reading(now, pair, rates)


def _rate(before: float, after: float, seconds: float) -> float | None:
    return (after - before) / seconds if after >= before else None

"""Quantiles of many values in little memory, with a known relative error.

A DDSketch (Masson, Rim, Lee: "DDSketch: A Fast and Fully-Mergeable Quantile Sketch with Relative-Error Guarantees",
VLDB 2019): values are counted in buckets whose bounds grow by a constant factor.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import ceil, log

RELATIVE_ERROR = 0.02
_GAMMA = (1 + RELATIVE_ERROR) / (1 - RELATIVE_ERROR)
_LOG_GAMMA = log(_GAMMA)
SMALLEST, LARGEST = 1e-4, 1e5
"""Values beyond these count as these, so that there are never more than 520 buckets."""


class Sketch:
    """Counts of positive values; what is not positive counts as the smallest."""

    __slots__ = ("_buckets",)

    def __init__(self, parts: Iterable[Sketch] = ()) -> None:
        """The union of `parts`."""
        self._buckets: dict[int, int] = {}
        for part in parts:
            for bucket, count in part._buckets.items():
                self._buckets[bucket] = self._buckets.get(bucket, 0) + count

    def __len__(self) -> int:
        """Values counted."""
        return sum(self._buckets.values())

    def add(self, value: float) -> None:
        """Count one value."""
        if not value > SMALLEST:  # NaN as well
            value = SMALLEST
        elif value > LARGEST:
            value = LARGEST
        bucket = ceil(log(value) / _LOG_GAMMA)
        self._buckets[bucket] = self._buckets.get(bucket, 0) + 1

    def quantile(self, q: float) -> float | None:
        """The value that a share `q` (0 to 1) of all values does not exceed, within the relative error; None without
        values."""
        rank = q * (len(self) - 1)
        passed = 0
        for bucket in sorted(self._buckets):
            passed += self._buckets[bucket]
            if passed > rank:
                return 2 * _GAMMA**bucket / (_GAMMA + 1)
        return None

"""Upper bounds of every histogram: the defaults, each of which the configuration may replace.

`app` builds a `Buckets` from the settings; `prometheus`, `lag` and the reference read it by the key in the catalogue.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from itertools import pairwise

from exporter.errors import ConfigError

Bounds = tuple[float, ...]

_LATENCY_PER_TOKEN: Bounds = (
    *(0.001, 0.002, 0.004, 0.006, 0.008, 0.01, 0.015, 0.025, 0.05, 0.075),
    *(0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5),
)  # Small models pass 100 tokens/s, which a first bound of 10 ms would hide.
_SPEED: Bounds = (1.0, 2.0, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 75.0, 100.0, 150.0, 200.0, 300.0, 500.0, 1e3, 2e3)
_WAIT: Bounds = (
    *(0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0),
    *(20.0, 40.0, 80.0, 160.0),
)  # CPU and off-loaded prefill take minutes.


@dataclass(frozen=True, slots=True)
class Buckets:
    """Upper bounds by use, ascending, +Inf left out. Raises ConfigError when a set of bounds is unusable."""

    duration: Bounds = tuple(round(0.01 * 2**power, 2) for power in range(16))
    """Seconds: 0.01, doubling up to 327.68."""
    ttft: Bounds = _WAIT
    """Seconds to the first token."""
    queue: Bounds = _WAIT
    """Seconds of waiting inside the server."""
    per_token: Bounds = _LATENCY_PER_TOKEN
    """Seconds per output token, averaged over a request."""
    inter_token: Bounds = _LATENCY_PER_TOKEN
    """Seconds between two content chunks."""
    output_speed: Bounds = _SPEED
    """Generated tokens per second."""
    prompt_speed: Bounds = (*_SPEED, 5e3, 1e4, 2e4, 5e4)
    """Prompt tokens per second; a prefill on a GPU runs at five digits."""
    tokens: Bounds = tuple(float(4**power) for power in range(11))
    """Tokens of one request: 1, quadrupling up to 1048576."""
    overhead: Bounds = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
    """Seconds that the sidecar itself adds."""
    score: Bounds = (0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 10.0, 15.0, 20.0, 50.0)
    """Complexity scores; the default cuts, 3 and 7, are among them."""
    decision: Bounds = (5e-6, 1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2)
    """Seconds that a routing decision takes."""
    health_check: Bounds = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
    """Seconds for the round trip of a health check."""
    event_loop_lag: Bounds = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
    """Seconds by which a timer of the event loop is late."""

    def __post_init__(self) -> None:
        for field in fields(self):
            check_bounds(field.name, getattr(self, field.name))


def check_bounds(name: str, bounds: Bounds) -> None:
    """Raise ConfigError unless `bounds` holds at least one number and all are finite, positive and ascending."""
    if not bounds:
        raise ConfigError(f"buckets.{name}: at least one bound is needed")
    if not all(math.isfinite(bound) and bound > 0 for bound in bounds):
        raise ConfigError(f"buckets.{name}: every bound must be a finite number above 0")
    if not all(low < high for low, high in pairwise(bounds)):
        raise ConfigError(f"buckets.{name}: the bounds must ascend")

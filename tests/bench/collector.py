"""The benchmark's receiver of OTLP: takes everything and keeps nothing, so that hours of spans do not fill its memory.

A process of its own, as a collector is: `python -m tests.bench.collector` prints its port, and serves until its
standard input is closed.
"""

from __future__ import annotations

import sys

from tests.otlp.arrived import Arrived
from tests.otlp.receiver import Failure, Receiver


class Sink(Receiver):
    """Takes and forgets."""

    def take(self, arrived: Arrived) -> Failure | None:
        """See `Receiver`."""
        return None


if __name__ == "__main__":
    with Sink() as sink:
        print(sink.port, flush=True)
        sys.stdin.read()

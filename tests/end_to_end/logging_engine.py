"""The real engine, saying what it does, so that what it worked on can be counted without the sidecar's help.

`LoggingEngine` is the parent's side; `python -m tests.end_to_end.logging_engine` is the engine itself. Its own counters
are gone when it is killed; what it has written is not.
"""

from __future__ import annotations

import sys
from collections import deque

from exporter.demo import engine
from exporter.demo.engine import READY, Engine, EngineOptions, to_arguments

EACH_REQUEST = 3
"""Verbosity at which llama.cpp says when a slot takes a request up and when it is through with it."""
TAKEN_UP = "processing task"
THROUGH = "stop processing"


class LoggingEngine(Engine):
    """An engine that keeps everything that it said."""

    def __init__(self, options: EngineOptions) -> None:
        super().__init__(options)
        self._arguments = ["-m", "tests.end_to_end.logging_engine", *to_arguments(options)]
        self._lines = deque()

    def ready(self) -> bool:
        """As of any engine; but the address may stand behind the beginning of a line of the log."""
        if self._url is None:
            self._url = next((line.partition(READY)[2] for line in self.output() if READY in line), None)
        return super().ready()

    def taken_up(self) -> int:
        """Requests that a slot has begun to work on."""
        return sum(TAKEN_UP in line for line in self.output())

    def through(self) -> int:
        """Requests that a slot has brought to their end, or was left alone with."""
        return sum(THROUGH in line for line in self.output())


if __name__ == "__main__":
    engine.ERRORS_ONLY = EACH_REQUEST
    sys.exit(engine.main())

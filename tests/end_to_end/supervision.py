"""A process that has started others and a folder for them, and leaves nothing behind however its parent ends.

`stage` is one. The parent starts it as an `exporter.demo.process.Child`, that is, holds its standard input.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from exporter.demo.process import end_with_parent

LOWEST_PRIORITY = 19
CLEANUP_SECONDS = 55.0
"""For `end_with_parent`: all the limits of what is stopped, together, are less."""


@contextmanager
def supervised(prefix: str) -> Iterator[Path]:
    """A temporary folder. Where the block waits, it is left when standard input ends, or by SIGTERM or SIGHUP: what it
    has started ends as its context managers say, and the folder is removed. This process gets the lowest priority,
    and so does all that it starts."""
    os.nice(LOWEST_PRIORITY)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _leave)
    end_with_parent(grace_seconds=CLEANUP_SECONDS)
    with TemporaryDirectory(prefix=prefix, ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def _leave(*_: object) -> None:
    # Once: the parent closes standard input and sends SIGTERM, and the cleanup must not be interrupted by the second.
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    sys.exit(0)

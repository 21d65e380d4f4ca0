"""What was said last, by the sidecar and by the llama-server that it runs: a bounded number of lines, for those who
read logs from afar.

It is a handler of `logging`; `models.managed` adds the lines of llama-server. Safe to be added to from any thread.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any, NamedTuple

from exporter.logs import Level, extra_fields

PROXY = "proxy"
LLAMA_SERVER = "llama-server"
LINES = 2000
MESSAGE_LIMIT = 2000
"""Characters of one line that are kept, and of a text beside it."""
FIELDS_LIMIT = 50
"""Fields of one line, and values of a list among them."""
DEPTH_LIMIT = 4
"""Of values within values."""


class Line(NamedTuple):
    """One of them."""

    number: int
    """Rises by one from line to line."""
    wall: float
    """UTC seconds since the epoch."""
    level: Level
    source: str
    """`proxy` or `llama-server`."""
    message: str
    fields: Mapping[str, Any]
    """What stood beside the message: JSON values, whatever was given; at `exception`, what was raised."""


class Logbook(logging.Handler):
    """The newest lines."""

    def __init__(self, wall: Callable[[], float] = time.time, lines: int = LINES) -> None:
        super().__init__()
        self._wall = wall
        self._lines: deque[Line] = deque(maxlen=lines)
        self._newest = 0
        self._adding = threading.RLock()  # so that numbers rise whoever adds; a signal's handler may, within `add`

    def add(
        self,
        level: Level,
        source: str,
        message: str,
        fields: Mapping[str, Any] | None = None,
        wall: float | None = None,
    ) -> None:
        """Keep a line. Never raises."""
        at = self._wall() if wall is None else wall
        kept = {} if fields is None else _plain_fields(fields, DEPTH_LIMIT)
        with self._adding:
            self._newest += 1
            self._lines.append(Line(self._newest, at, level, source, message[:MESSAGE_LIMIT], kept))

    def add_server_line(self, level: Level, message: str, fields: Mapping[str, Any] | None = None) -> None:
        """A line of the llama-server that we run."""
        self.add(level, LLAMA_SERVER, message, fields)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep what the sidecar logs. Never raises: a record that cannot be read is one, too."""
        try:
            message, fields = record.getMessage(), extra_fields(record)
            if record.exc_info and record.exc_info[1] is not None:
                fields["exception"] = repr(record.exc_info[1])
        except Exception:
            message, fields = f"a line of {record.name} that cannot be read: {record.msg!r:.{MESSAGE_LIMIT}}", {}
        self.add(_level(record.levelno), PROXY, message, fields, record.created)

    def after(self, number: int) -> list[Line]:
        """Lines newer than that one, oldest first, as far as they are kept."""
        with self._adding:
            wanted = min(self._newest - number, len(self._lines))
            return [self._lines[index] for index in range(-wanted, 0)]

    @property
    def newest(self) -> int:
        """The number of the newest line; 0 before the first."""
        return self._newest


def _level(number: int) -> Level:
    if number >= logging.ERROR:
        return "error"
    if number >= logging.WARNING:
        return "warn"
    return "info" if number >= logging.INFO else "debug"


def _plain_fields(fields: Mapping[Any, Any], depth: int) -> dict[str, Any]:
    few = islice(fields.items(), FIELDS_LIMIT)
    return {_text(name): _plain(value, depth) for name, value in few}


def _plain(value: Any, depth: int) -> Any:
    """The value, if JSON has it, else a text."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, Mapping) and depth:
        return _plain_fields(value, depth - 1)
    if isinstance(value, list | tuple | set | frozenset) and depth:
        return [_plain(each, depth - 1) for each in islice(value, FIELDS_LIMIT)]
    return _text(value)


def _text(value: object) -> str:
    try:
        return str(value)[:MESSAGE_LIMIT]
    except Exception:
        return f"a {type(value).__name__} that cannot be shown"

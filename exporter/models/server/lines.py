"""The lines that llama-server writes: cut from what arrives, and read. `process` cuts, `words` reads.

In router mode its own lines look like `0.00.315.585 I srv  load: text` (time since its start, level), and those of its
models' processes are the same behind `[port] `. Both can be coloured, and be JSON (`--log-jsonl`), in which a model's
line is a text within the router's.
"""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

from exporter.logs import Level

LINE_BYTES = 8192
"""Of one line that are kept."""
LEVELS: dict[str, Level] = {"E": "error", "W": "warn", "I": "info", "D": "debug"}

COLOUR = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
PORT = re.compile(r"\[ *(\d{1,5})\] ")
TIME = re.compile(r"\d+\.\d\d\.\d{3}\.\d{3} ")
LETTER = re.compile(r"([EWID]) ")
SPEAKER = r"[a-z]{3,4} +\S{1,80}: +|[a-z](?=\w{0,80}_)\w{0,80}: "
"""Which part of it speaks: `srv  start: ` or `llama_model_load: `."""
UNTIMED_LETTER = re.compile(rf"([EWID]) (?={SPEAKER})")
"""Without a time in front, a letter can also be a word."""
PREFIX = re.compile(rf"(?:{SPEAKER})|error: |\S*/(?=[\w.-]+:\d+: )")
"""What people need not read of an error. The last is the folder of a source file."""
BAD = re.compile(
    r"error\b|terminate called|\s*what\(\): |CUDA error|\S+:\d+: (GGML_ASSERT|GGML_ABORT|fatal error)|"
    r"\S+: error while loading shared libraries: "
)
"""What is an error although it has no level."""


class Line(NamedTuple):
    """A line."""

    level: Level
    message: str
    """Without time and level; on one line, whatever was in it."""
    port: int | None
    """Of the model's process that said it; None: the router."""

    @property
    def reason(self) -> str:
        """What the line says, for people who need not know which part of llama-server has said it."""
        prefix = PREFIX.match(self.message)
        return self.message[0 if prefix is None else prefix.end() :].strip()


class Cutter:
    """Cuts what arrives into lines, and keeps the beginning of one that is too long."""

    def __init__(self, limit: int = LINE_BYTES) -> None:
        self._limit = limit
        self._begun = bytearray()

    def feed(self, data: bytes) -> list[str]:
        """The lines that have come to their end, without it."""
        first, *others = data.split(b"\n")
        self._begin(first)
        lines = []
        for other in others:
            lines += self.rest()
            self._begin(other)
        return lines

    def rest(self) -> list[str]:
        """The line that has no end yet, if there is one."""
        text = self._begun.decode(errors="replace").rstrip()
        self._begun.clear()
        return [text] if text else []

    def _begin(self, data: bytes) -> None:
        self._begun += data[: self._limit - len(self._begun)]


def parse(text: str) -> Line:
    """Read a line; whatever it is, it becomes one."""
    text = COLOUR.sub("", text)
    port = PORT.match(text)
    text = text if port is None else text[port.end() :]
    entry = _entry(text)
    if entry is None:
        level, message = _split(text)
    elif port is None and PORT.match(entry["msg"]):
        return parse(entry["msg"])
    else:
        message = entry["msg"]
        level = LEVELS.get(str(entry.get("level"))[:1].upper()) or _guess(message)
    return Line(level, harmless(message.rstrip()), None if port is None else int(port[1]))


def harmless(text: str) -> str:
    """The text with nothing in it that moves the cursor of a terminal, or begins another line."""
    if text.isprintable():
        return text
    return "".join(map(_harmless, text))


def _harmless(letter: str) -> str:
    if letter.isprintable():
        return letter
    return " " if letter.isspace() else "\N{REPLACEMENT CHARACTER}"


def _entry(text: str) -> dict[str, Any] | None:
    if not text.startswith('{"type":"log"'):
        return None
    try:
        entry = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return entry if isinstance(entry, dict) and isinstance(entry.get("msg"), str) else None


def _split(text: str) -> tuple[Level, str]:
    """Level and message of a line without a port."""
    time = TIME.match(text)
    start = 0 if time is None else time.end()
    letter = (UNTIMED_LETTER if time is None else LETTER).match(text, start)
    if letter is None:
        return _guess(text[start:]), text[start:]
    return LEVELS[letter[1]], text[letter.end() :]


def _guess(message: str) -> Level:
    if BAD.match(message):
        return "error"
    return "warn" if message.startswith("warning: ") else "info"

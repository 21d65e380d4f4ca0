"""Incremental framing of server-sent events: bytes in, split anywhere; complete events out.

Lines end at LF, CRLF or CR, and only there: generated text may hold U+2028, U+0085 and broken UTF-8. Called by
`stream.StreamReader` for everything that its fast path does not recognise.
"""

from __future__ import annotations

from typing import NamedTuple

from exporter.observe.documents import ROUTER_ERROR
from exporter.observe.excerpt import Excerpt

_BOM = b"\xef\xbb\xbf"


class Event(NamedTuple):
    """One event. `data` is its data lines joined by LF."""

    name: bytes
    """Of its `event:` line, empty without one; `error` for the bare `error: {...}` line of old llama-server builds, and
    `ROUTER_ERROR` for that of its router."""
    data: bytes
    tail: bytes | None
    """None for an event within the size limit. Of a longer one, `data` is only the beginning and this is the end."""


class Framer:
    """Cuts a byte stream into events. Retains at most about three times `limit` bytes, whatever comes."""

    __slots__ = ("_after_cr", "_data", "_first", "_limit", "_line", "_name", "_seen_data", "idle")

    def __init__(self, limit: int) -> None:
        self.idle = True
        """Nothing is pending: the next byte begins an event."""
        self._first = True
        self._after_cr = False
        self._limit = limit
        self._line = Excerpt(limit)
        self._data = Excerpt(limit)
        self._seen_data = False
        self._name = b""

    @property
    def retained_bytes(self) -> int:
        """Bytes held back now."""
        return len(self._line) + len(self._data)

    def feed(self, chunk: bytes) -> list[Event]:
        """Take bytes as they arrive; return the events that they complete."""
        events: list[Event] = []
        *lines, rest = self._normalise(chunk).split(b"\n")
        pending = len(self._line) > 0
        for line in lines:
            if line or pending or self._seen_data or self._name:
                self._end_line(line, events)
                pending = False
        if rest:
            self._line.add(rest)
        self.idle = not (len(self._line) or self._seen_data or self._name or self._after_cr)
        return events

    def flush(self) -> list[Event]:
        """The event that the end of the stream cut off, if any; by the standard it would be dropped."""
        return self.feed(b"\n\n")

    def _normalise(self, chunk: bytes) -> bytes:
        if self._after_cr and chunk:
            self._after_cr = False
            chunk = chunk.removeprefix(b"\n")
        if b"\r" in chunk:
            self._after_cr = chunk.endswith(b"\r")
            chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        return chunk

    def _end_line(self, line: bytes, events: list[Event]) -> None:
        tail: bytes | None = None
        if len(self._line) or len(line) > self._limit:
            self._line.add(line)
            line = self._line.head
            tail = None if self._line.whole else self._line.tail
            self._line.clear()
        if self._first:
            self._first = False
            line = line.removeprefix(_BOM)
        if line:
            self._field(line, tail)
        else:
            self._dispatch(events)

    def _field(self, line: bytes, tail: bytes | None) -> None:
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"event":
            self._name = value
        elif name == b"data":
            self._add_data(value, tail)
        elif name in (b"error", ROUTER_ERROR):
            self._name = name
            self._add_data(value, tail)

    def _add_data(self, value: bytes, tail: bytes | None) -> None:
        if self._seen_data:
            self._data.add(b"\n")
        self._seen_data = True
        self._data.add(value)
        if tail is not None:
            self._data.cut()
            self._data.add(tail)

    def _dispatch(self, events: list[Event]) -> None:
        if self._seen_data:
            events.append(Event(self._name, self._data.head, None if self._data.whole else self._data.tail))
            self._data.clear()
        self._seen_data = False
        self._name = b""

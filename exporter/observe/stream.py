"""Reads a streamed answer: most frames at a glance, the few that matter as JSON. Made by `reader.open_reader`.

The fast path recognises a chunk that is one whole ordinary event and never parses it; everything else is framed and
looked at event by event, by the same rules, so that the way a stream is split changes nothing but the time of arrival.
"""

from __future__ import annotations

from collections.abc import Callable

from exporter.observe.clock import ContentClock
from exporter.observe.dialect import CAREFUL, CONTENT, FIGURES, Dialect
from exporter.observe.dialects import recognise
from exporter.observe.documents import ROUTER_ERROR, Document, error_label, mapping, parse
from exporter.observe.excerpt import digest
from exporter.observe.facts import Facts
from exporter.observe.sse import Event, Framer

_HELD_FRAMES = 64
_HELD_BYTES = 16 << 10
_NEVER = b"\0"
"""Begins no event."""


def _suspicious(frame: bytes) -> int:
    """The glance before the dialect is known: parse."""
    return CAREFUL


class StreamReader:
    """Takes the facts and the arrival times from one stream of server-sent events."""

    __slots__ = (
        "_after",
        "_before",
        "_begin",
        "_clock",
        "_dialect",
        "_end",
        "_facts",
        "_framer",
        "_glance",
        "_held",
        "_lines",
        "_marks",
        "_opening",
    )

    def __init__(self, facts: Facts, clock: ContentClock, frame_bytes: int) -> None:
        self._facts = facts
        self._clock = clock
        self._framer = Framer(frame_bytes)
        self._dialect: Dialect | None = None
        self._glance: Callable[[bytes], int] = _suspicious
        self._opening = b"data: "
        self._lines = 2
        self._marks: tuple[bytes, ...] = ()
        # What stood around the content of the last ordinary event, and where: most events differ in nothing else.
        self._before = self._after = _NEVER
        self._begin = self._end = 0
        self._held: dict[bytes, bytes] = {}
        """Newest frame with figures by choice, not parsed yet; the key is what follows `"index":`."""

    @property
    def dialect(self) -> str | None:
        """Name of the dialect that the stream turned out to be in."""
        return None if self._dialect is None else self._dialect.name

    @property
    def retained_bytes(self) -> int:
        """Bytes held back now."""
        return self._framer.retained_bytes + sum(map(len, self._held.values()))

    def feed(self, now: float, chunk: bytes) -> None:
        """Take a chunk, split anywhere, that arrived at `now`."""
        if self._framer.idle:
            if chunk.startswith(self._before) and chunk.endswith(self._after):
                content = chunk[self._begin : self._end]
                if content and b'"' not in content and b"\n" not in content and b"\r" not in content:
                    self._clock.tick(now)
                    return
            if self._is_one_event(chunk):
                seen = self._glance(chunk)
                if seen:
                    if seen & FIGURES:
                        self._hold(chunk[6:-2])
                    else:
                        self._learn(chunk)
                    if seen & CONTENT:
                        self._clock.tick(now)
                    return
        for event in self._framer.feed(chunk):
            self._read_event(now, event)

    def _is_one_event(self, chunk: bytes) -> bool:
        lines = self._lines
        return (
            chunk.endswith(b"\n\n")
            and chunk.startswith(self._opening)
            and chunk.count(b"\n") == lines
            and b"\r" not in chunk
            and (lines == 2 or b"\ndata: " in chunk)
        )

    def _learn(self, chunk: bytes) -> None:
        """Note what stands around the content of an ordinary event, unless that has escapes (which hide its end)."""
        for mark in self._marks:
            at = chunk.find(mark)
            if at >= 0:
                begin = at + len(mark)
                end = chunk.find(b'"', begin)
                if b"\\" not in chunk[begin:end]:
                    self._before, self._after = chunk[:begin], chunk[end:]
                    self._begin, self._end = begin, end - len(chunk)
                return

    def finish(self, now: float, complete: bool) -> None:
        """The stream has ended. An event without its blank line is read if it is readable, and is no error if not."""
        errors = self._facts.parse_errors
        for event in self._framer.flush():
            self._read_parsed(now, event)
        self._facts.parse_errors = errors
        self._settle()

    def _read_event(self, now: float, event: Event) -> None:
        seen = self._glance(event.data) if event.tail is None else CAREFUL
        if not seen:
            self._read_parsed(now, event)
            return
        if seen & FIGURES:
            self._hold(event.data)
        if seen & CONTENT:
            self._clock.tick(now)

    def _read_parsed(self, now: float, event: Event) -> None:
        if event.data == b"[DONE]":
            self._facts.closed = True
            return
        if event.name == ROUTER_ERROR:
            self._facts.lost = True
            return
        if event.tail is not None:
            document: object = digest(event.data, event.tail)
            if self._glance(event.data) & CONTENT:
                self._clock.tick(now)
        else:
            try:
                document = parse(event.data)
            except ValueError:
                self._facts.parse_errors += 1
                return
        if isinstance(document, dict):
            self._read_document(now, event.name, document)

    def _read_document(self, now: float, name: bytes, document: Document) -> None:
        error = document.get("error") or (document if name == b"error" or document.get("type") == "error" else None)
        if error:
            self._facts.error_type = error_label(error)
            return
        dialect = recognise(document)
        if dialect is None:
            return
        if dialect is not self._dialect:
            self._adopt(dialect)
        if self._held:
            self._settle()
        if dialect.read(document, self._facts):
            self._clock.tick(now)

    def _adopt(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._glance = dialect.glance
        self._opening = dialect.opening
        self._lines = dialect.lines
        self._marks = dialect.marks

    def _hold(self, frame: bytes) -> None:
        at = frame.find(b'"index":')
        self._held[frame[at + 8 : at + 11] if at >= 0 else b""] = frame
        if len(frame) > _HELD_BYTES or len(self._held) > _HELD_FRAMES:
            self._settle()

    def _settle(self) -> None:
        """Parse the held frames, so that figures are noted in the order in which they arrived."""
        for frame in self._held.values():
            try:
                document = parse(frame)
            except ValueError:
                self._facts.parse_errors += 1
                continue
            dialect = recognise(mapping(document))
            if dialect is not None:
                dialect.read(mapping(document), self._facts)
        self._held.clear()

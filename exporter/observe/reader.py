"""Chooses how an answer is read, by its headers, and reads the answers that are not streams."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Protocol

from exporter.observe.clock import ContentClock
from exporter.observe.dialects import read_answer
from exporter.observe.documents import error_label, mapping, parse
from exporter.observe.excerpt import Excerpt, digest
from exporter.observe.facts import Facts
from exporter.observe.stream import StreamReader

Headers = Sequence[tuple[bytes, bytes]]

_INFLATE_STEP = 256 << 10
_INFLATE_STEPS = 64


class Reader(Protocol):
    """Takes the body of one answer."""

    @property
    def dialect(self) -> str | None:
        """Name of the dialect that the answer turned out to be in; None when it cannot be told (yet)."""

    @property
    def retained_bytes(self) -> int:
        """Bytes held back now."""

    def feed(self, now: float, chunk: bytes) -> None:
        """Take a chunk, split anywhere, that arrived at `now`."""

    def finish(self, now: float, complete: bool) -> None:
        """The body has ended; not `complete` when it was broken off."""


class AnswerReader:
    """Reads one JSON document when it is complete. Of a long one only the two ends are kept and searched."""

    __slots__ = ("_body", "_dialect", "_error", "_facts")

    def __init__(self, facts: Facts, answer_bytes: int, *, error: bool) -> None:
        self._facts = facts
        self._body = Excerpt(answer_bytes)
        self._error = error
        self._dialect: str | None = None

    @property
    def dialect(self) -> str | None:
        """See `Reader`."""
        return self._dialect

    @property
    def retained_bytes(self) -> int:
        """See `Reader`."""
        return len(self._body)

    def feed(self, now: float, chunk: bytes) -> None:
        """See `Reader`."""
        self._body.add(chunk)

    def finish(self, now: float, complete: bool) -> None:
        """See `Reader`."""
        answer = self._parse(complete)
        self._body.clear()
        if self._error:
            error = mapping(answer).get("error")
            self._facts.error_type = error_label(error) if isinstance(error, dict) else None
            return
        dialect = read_answer(answer, self._facts)
        if dialect is not None:
            self._dialect = dialect.name

    def _parse(self, complete: bool) -> object:
        body = self._body
        if body.whole:
            try:
                return parse(body.head)
            except ValueError:
                self._facts.parse_errors += complete and len(body) > 0
        return digest(body.head, body.tail)


class InflatingReader:
    """Undoes a Content-Encoding before another reader looks; gives up on bodies that inflate beyond reason."""

    __slots__ = ("_facts", "_inflate", "_reader")

    def __init__(self, reader: Reader, facts: Facts, encoding: bytes) -> None:
        self._reader = reader
        self._facts = facts
        self._inflate = make_inflater(encoding)

    @property
    def dialect(self) -> str | None:
        """See `Reader`."""
        return self._reader.dialect

    @property
    def retained_bytes(self) -> int:
        """See `Reader`."""
        return self._reader.retained_bytes

    def feed(self, now: float, chunk: bytes) -> None:
        """See `Reader`."""
        for _ in range(_INFLATE_STEPS):
            if self._inflate is None or not chunk:
                return
            try:
                plain = self._inflate.decompress(chunk, _INFLATE_STEP)
            except zlib.error:
                break
            chunk = self._inflate.unconsumed_tail
            self._reader.feed(now, plain)
        else:
            if not chunk:
                return
        self._inflate = None
        self._facts.parse_errors += 1

    def finish(self, now: float, complete: bool) -> None:
        """See `Reader`."""
        self._reader.finish(now, complete and self._inflate is not None)

"""Chooses how an answer is read, by its headers, and reads the answers that are not streams."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from exporter.observe.clock import ContentClock
from exporter.observe.dialects import read_answer
from exporter.observe.documents import PROXY_ERROR, ROUTER_ERROR, error_label, mapping, parse
from exporter.observe.encoding import Inflater, is_identity, make_inflater
from exporter.observe.excerpt import Excerpt, digest
from exporter.observe.facts import Facts
from exporter.observe.stream import StreamReader

Headers = Sequence[tuple[bytes, bytes]]


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
        if self._error and self._body.head.startswith(ROUTER_ERROR):
            self._facts.error_type = PROXY_ERROR
            self._body.clear()
            return
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
        # Of a long array of results, one per prompt, only the first is found again.
        self._facts.tokens.first_choice_only = body.head.lstrip().startswith(b"[")
        return digest(body.head, body.tail)


class InflatingReader:
    """Undoes a Content-Encoding before another reader looks; gives up on a body that is not what it says."""

    __slots__ = ("_facts", "_inflater", "_reader")

    def __init__(self, reader: Reader, facts: Facts, inflater: Inflater) -> None:
        self._reader = reader
        self._facts = facts
        self._inflater: Inflater | None = inflater

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
        if self._inflater is None:
            return
        try:
            pieces = self._inflater.inflate(chunk)
        except ValueError:
            self._inflater = None
            self._facts.parse_errors += 1
            return
        for piece in pieces:
            if piece:
                self._reader.feed(now, piece)

    def finish(self, now: float, complete: bool) -> None:
        """See `Reader`."""
        self._reader.finish(now, complete and self._inflater is not None)


def open_reader(
    status: int,
    headers: Headers,
    *,
    inference: bool,
    facts: Facts,
    clock: ContentClock,
    answer_bytes: int,
    frame_bytes: int,
) -> tuple[Reader | None, bool]:
    """The reader that an answer needs, None when only its size is of interest; and whether it is a stream of events.

    Header names are lower-case.
    """
    found = dict(headers)
    kind = found.get(b"content-type", b"").partition(b";")[0].strip().lower()
    stream = kind == b"text/event-stream"
    error = status >= 400
    reader: Reader
    if not (inference or error):
        return None, stream
    if stream:
        reader = StreamReader(facts, clock, frame_bytes)
    elif kind == b"application/json" or kind.endswith(b"+json"):
        reader = AnswerReader(facts, answer_bytes, error=error)
    else:
        return None, False
    encoding = found.get(b"content-encoding", b"")
    if is_identity(encoding):
        return reader, stream
    inflater = make_inflater(encoding)
    return (None if inflater is None else InflatingReader(reader, facts, inflater)), stream

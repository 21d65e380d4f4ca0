"""Renders all families for a scrape, without holding up the streams that pass through the same event loop.

`app` builds one `Exposition` and gives its `render` to the room that answers `GET /metrics`. The work is cut into
slices of half a millisecond; in between the event loop serves everybody else.
"""

from __future__ import annotations

import asyncio
import io
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from exporter.telemetry.lines import END, AnyFamily, Form, pieces
from exporter.telemetry.negotiation import accepts_gzip, negotiate

SLICE_SECONDS = 0.0005
BLOCK_CHARACTERS = 8192
"""Text is encoded and compressed, and the clock is read, once per block: about 40 lines, a few dozen microseconds."""

_GZIP_LEVEL = 3
_GZIP_WINDOW = 31  # zlib's largest window, in gzip's framing


class FamilySource(Protocol):
    """Something that has families to show: `RequestMetrics`, `SnapshotFamilies`, `EventLoopLag`."""

    def families(self) -> Iterable[AnyFamily]:
        """The families as they are now."""
        ...


@dataclass(frozen=True, slots=True)
class Rendered:
    """One answer to a scrape."""

    body: bytes
    content_type: str
    content_encoding: str | None


class Exposition:
    """Everything that a scrape shows, in the order of its sources."""

    def __init__(
        self,
        *sources: FamilySource,
        clock: Callable[[], float] = time.perf_counter,
        slice_seconds: float = SLICE_SECONDS,
    ) -> None:
        self._sources = sources
        self._clock = clock
        self._slice_seconds = slice_seconds

    async def render(self, accept: str | None, accept_encoding: str | None) -> Rendered:
        """Render for a scraper that sent these `Accept` and `Accept-Encoding` headers."""
        wanted = negotiate(accept)
        body = _Body(compress=accepts_gzip(accept_encoding))
        started = self._clock()
        for block in _blocks(self._pieces(Form(wanted.openmetrics, dots=wanted.escaping == "dots"))):
            body.write(block)
            if self._clock() - started >= self._slice_seconds:
                await asyncio.sleep(0)
                started = self._clock()
        return Rendered(body.finish(), wanted.content_type, body.encoding)

    def _pieces(self, form: Form) -> Iterator[str]:
        for source in self._sources:
            for family in source.families():
                yield from pieces(family, form)
        if form.openmetrics:
            yield END


def _blocks(texts: Iterator[str]) -> Iterator[str]:
    """Join pieces to blocks of about `BLOCK_CHARACTERS`."""
    block: list[str] = []
    size = 0
    for text in texts:
        block.append(text)
        size += len(text)
        if size >= BLOCK_CHARACTERS:
            yield "".join(block)
            block, size = [], 0
    yield "".join(block)


class _Body:
    """The bytes of an answer, compressed as they come when that was asked for."""

    def __init__(self, *, compress: bool) -> None:
        self.encoding = "gzip" if compress else None
        self._gzip = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, _GZIP_WINDOW) if compress else None
        self._bytes = io.BytesIO()  # Grows in place: joining megabytes at the end would take milliseconds.

    def write(self, text: str) -> None:
        # A lone surrogate, as the names of odd files bring along, must not cost the whole scrape.
        data = text.encode("utf-8", "replace")
        self._bytes.write(self._gzip.compress(data) if self._gzip else data)

    def finish(self) -> bytes:
        if self._gzip:
            self._bytes.write(self._gzip.flush())
        return self._bytes.getvalue()

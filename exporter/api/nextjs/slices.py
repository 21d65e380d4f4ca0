"""Writing long documents in slices, so that streams flow meanwhile, and lists that stand in one twice only once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any, TypeVar

from exporter.api.documents import encode

SLICE = 60
"""Things that are written in one go: half a millisecond."""

T = TypeVar("T")


async def array(things: Sequence[T], shape: Callable[[T], Any]) -> bytes:
    """All of them, as JSON."""
    writing = steps(things, shape)
    while True:
        try:
            next(writing)
        except StopIteration as done:
            written: bytes = done.value
            return written
        await asyncio.sleep(0)


def steps(things: Sequence[T], shape: Callable[[T], Any]) -> Generator[None, None, bytes]:
    """The same for those who wait in their own way between the slices."""
    pieces = []
    for first in range(0, len(things), SLICE):
        if first:
            yield
        pieces.append(encode([shape(each) for each in things[first : first + SLICE]])[1:-1])
    return b"[" + b",".join(pieces) + b"]"


def splice(document: Mapping[str, Any], written: Mapping[str, bytes]) -> bytes:
    """An object as JSON, with what is written already as the values of these keys."""
    fields = (b'"%b":%b' % (key.encode(), written.get(key) or encode(value)) for key, value in document.items())
    return b"{" + b",".join(fields) + b"}"

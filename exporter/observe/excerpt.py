"""A long text in bounded memory: all of it up to a limit, beyond that head and tail, and the figures found there.

Used for JSON answers of many megabytes (embeddings) and for events as long as a prompt (the last one of a native stream
repeats the prompt). A byte pattern such as `"usage":` cannot occur inside a JSON string, where its quotes would be
escaped, so searching for it is exact.
"""

from __future__ import annotations

import json
from typing import Any

from exporter.observe.documents import Document

_raw_decode = json.JSONDecoder(strict=False).raw_decode

_EARLY = ("type", "object", "model", "index", "stop", "tokens_predicted", "tokens_evaluated")
"""Keys that servers mostly write before the long part: the first occurrence counts, else the last one behind it."""
_LATE = ("usage", "timings", "stop_type", "stop_reason", "status")
"""Keys that servers mostly write behind the long part (`usage` of embeddings before it): the last one counts."""
_VALUE_BYTES = 4096
_REASONS = 64


class Excerpt:
    """Collects bytes. `whole` tells whether all of them are still there."""

    __slots__ = ("_half", "_head", "_limit", "_tail", "whole")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._half = max(limit // 2, 1)
        self._head = bytearray()
        self._tail = bytearray()
        self.whole = True

    def __len__(self) -> int:
        """Bytes retained now; at most one and a half times the limit."""
        return len(self._head) + len(self._tail)

    @property
    def head(self) -> bytes:
        """The beginning; everything while `whole`."""
        return bytes(self._head)

    @property
    def tail(self) -> bytes:
        """The end; empty while `whole`."""
        return bytes(self._tail[-self._half :])

    def add(self, data: bytes) -> None:
        """Append `data`."""
        if self.whole:
            if len(self._head) + len(data) <= self._limit:
                self._head += data
                return
            room = max(self._half - len(self._head), 0)
            self._head += data[:room]
            data = data[room:]
            self.cut()
        self._tail += data[-self._half :]
        if len(self._tail) > 2 * self._half:
            del self._tail[: -self._half]

    def cut(self) -> None:
        """From now on keep only head and tail."""
        self.whole = False
        self._tail += self._head[self._half :]
        del self._head[self._half :]

    def clear(self) -> None:
        """Forget everything."""
        self._head.clear()
        self._tail.clear()
        self.whole = True


def digest(head: bytes, tail: bytes) -> Document:
    """From the two ends of a JSON text, a document with the facts of the whole: figures, model, finish reasons."""
    found: Document = {}
    if head.lstrip().startswith(b"["):
        tail = b""  # of an array the first element alone: its beginning and another one's end do not belong together
    for key in _EARLY:
        _take(found, key, (head, head.find(_pattern(key))), (tail, tail.rfind(_pattern(key))))
    for key in _LATE:
        _take(found, key, (tail, tail.rfind(_pattern(key))), (head, head.rfind(_pattern(key))))
    reasons = _finish_reasons(head + b" " + tail)
    if reasons:
        found["choices"] = [{"index": index, "finish_reason": reason} for index, reason in enumerate(reasons)]
    if str(found.get("type")).startswith("response."):
        found["response"] = {key: value for key, value in found.items() if key != "type"}
    return found


def _pattern(key: str) -> bytes:
    return b'"' + key.encode() + b'":'


def _take(found: Document, key: str, *places: tuple[bytes, int]) -> None:
    for source, at in places:
        value = _value(source, at + len(_pattern(key))) if at >= 0 else None
        if value is not None:
            found[key] = value
            return


def _value(source: bytes, at: int) -> Any:
    """The JSON value that begins at `at`; None when it is cut off, too long, or null."""
    text = str(source[at : at + _VALUE_BYTES], "utf-8", "replace").lstrip()
    try:
        return _raw_decode(text)[0]
    except (ValueError, RecursionError):
        return None


def _finish_reasons(source: bytes) -> list[str]:
    reasons: list[str] = []
    pattern = _pattern("finish_reason")
    at = source.find(pattern)
    while at >= 0 and len(reasons) < _REASONS:
        reason = _value(source, at + len(pattern))
        if isinstance(reason, str):
            reasons.append(reason)
        at = source.find(pattern, at + len(pattern))
    return reasons

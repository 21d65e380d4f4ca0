"""Undoing a Content-Encoding on our side copy of a body, within bounds: what is forwarded is never touched."""

from __future__ import annotations

import zlib

_STEP_BYTES = 256 << 10
_STEPS = 8
_WINDOWS = {b"gzip": 31, b"x-gzip": 31, b"deflate": 15}
_RAW_WINDOW = -15


class Inflater:
    """Inflates gzip and deflate as it arrives."""

    __slots__ = ("_begun", "_fallback", "_zlib")

    def __init__(self, window: int) -> None:
        self._zlib = zlib.decompressobj(window)
        # "deflate" means the zlib format, but some senders leave its wrapping away.
        # That shows in the first two bytes.
        self._fallback = window == _WINDOWS[b"deflate"]
        self._begun = b""

    def inflate(self, data: bytes, limit: int = _STEP_BYTES * _STEPS) -> list[bytes]:
        """The plain bytes that `data` adds, in pieces of at most 256 KiB.

        Raises ValueError when it is not in that encoding or inflates to `limit` bytes or more at once.
        """
        pieces: list[bytes] = []
        while limit > 0:
            piece = self._step(data, min(_STEP_BYTES, limit))
            pieces.append(piece)
            data = self._zlib.unconsumed_tail
            limit -= len(piece)
            if not data and len(piece) < _STEP_BYTES:
                return pieces
        raise ValueError("inflates beyond reason")

    def _step(self, data: bytes, size: int) -> bytes:
        try:
            piece = self._zlib.decompress(data, size)
        except zlib.error as error:
            if not self._fallback:
                raise ValueError("not in the encoding that was announced") from error
            self._fallback = False
            self._zlib = zlib.decompressobj(_RAW_WINDOW)
            return self._step(self._begun + data, size)
        if self._fallback:
            self._begun += data[:2]
            self._fallback = len(self._begun) < 2
        return piece


def make_inflater(encoding: bytes) -> Inflater | None:
    """An inflater for a Content-Encoding header's value; None when it names anything but gzip or deflate, once."""
    window = _WINDOWS.get(encoding.strip().lower())
    return None if window is None else Inflater(window)


def is_identity(encoding: bytes) -> bool:
    """Whether the header's value means that nothing was done to the body."""
    return encoding.strip().lower() in (b"", b"identity")
